"""What a pushed model's card says to the Hub, and that no pushed file names a path of the machine."""

import json
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi, ModelCard, hf_hub_download

from spade_hf import SPADEPipeline
from spade_hf.hub.standalone import MODULAR_INDEX
from spade_hf.metrics.card import load_card, update_card
from spade_hf.training import delete_existing_run, upload

from .programs import SMALL


@pytest.fixture
def push(start, data, hub, monkeypatch, tmp_path):
    """Train one update, save and push as the script does; its folder, and the files on the Hub, of all commits."""
    monkeypatch.setenv("HF_TOKEN", hub.token)

    def push(name, *more):
        output = tmp_path / name
        started = start(*SMALL, "--dataset_name", data, "--output_dir", output, "--push_to_hub", *more)
        started.train(1)
        started.publisher.push(started.save(), 1)
        started.publisher.save(1)
        upload(output, started.publisher.repo_id)
        started.accelerator.end_training()
        repo = hub.repos["models", f"{hub.user}/{name}"]
        return output, [(path, file.data) for files in repo.commits.values() for path, file in files.items()]

    return push


def metadata(repo_id):
    """As it is on the Hub, once the Hub has validated it."""
    card = ModelCard.load(repo_id)
    card.validate()
    return yaml.safe_load(card.content.split("---\n")[1]), card.text


def shown_in(text):
    """The images that a card shows."""
    return set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", text))


def test_a_fine_tuned_and_evaluated_model(push, data, hub, tmp_path):
    push("card-base")
    push("card-tuned", "--pretrained_model_name_or_path", f"{hub.user}/card-base", "--license", "mit")
    repo_id = f"{hub.user}/card-tuned"
    settings = {"num_images": 6, "segmenter": str(tmp_path)}
    figures = {"kid": 0.25, "miou": 0.5, "fid": None}
    options = {"dataset_name": str(data), "split": "validation", "settings": settings}
    update_card(load_card(repo_id), figures, model=repo_id, **options)

    card, text = metadata(repo_id)
    assert card["library_name"] == "spade-hf" and "diffusers" in card["tags"] and card["license"] == "mit"
    assert (card["base_model"], card["base_model_relation"]) == (f"{hub.user}/card-base", "finetune")
    assert f", starting from [{hub.user}/card-base](https://huggingface.co/{hub.user}/card-base)." in text
    ((kid, miou),) = [result["metrics"] for result in card["model-index"][0]["results"]]
    assert card["model-index"][0]["name"] == "card-tuned" and (kid["value"], miou["value"]) == (0.25, 0.5)
    assert kid["args"] == {"num_images": 6, "segmenter": tmp_path.name}
    assert "| 4 | rock | `#804000` |" in text  # the palette


def test_no_path_of_the_machine_is_pushed(push, tmp_path):
    """With every strategy, and with every option that takes a path."""
    base = push("card-base-here")[0]
    for strategy in ("end", "every_save", "checkpoint"):
        output, files = push(
            f"card-{strategy}", "--hub_strategy", strategy, "--pretrained_model_name_or_path", base,
            "--discriminator_name_or_path", base / "checkpoint-1", "--cache_dir", tmp_path / "cache",
            "--report_to", "tensorboard",
        )  # fmt: skip
        assert list(output.glob("logs/**/*tfevents*"))
        assert {"README.md", "model_index.json", "generator/config.json"} <= {path for path, _ in files}
        found = [path for path, data in files if str(tmp_path).encode() in data or b"pytest-of-" in data]
        assert found == [], strategy
        assert not [path for path, _ in files if "tfevents" in path]
    card = dict(files)["README.md"].decode()
    assert "base_model" not in card and ", starting from a model that is not on the Hub." in card


def test_metadata_that_the_hub_refuses_stop_the_run_before_it_trains(run, data, hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    options = ("--output_dir", tmp_path / "card-refused", "--push_to_hub", "--license", "my-own")
    result = run(*SMALL, "--dataset_name", data, *options)
    assert result.status == 2
    error = result.stderr.splitlines()[-1]
    assert error.startswith('error: The Hub rejects the model card\'s metadata: "license" must be one of apache-2.0,')
    assert "Give a --license from https://" in error and not list((tmp_path / "card-refused").glob("checkpoint-*"))


def test_the_validator_sees_mistakes(hub):
    """The tests' server refuses, as the Hub does; without this, the tests above would show nothing."""
    good = "license: mit\nlibrary_name: spade-hf\nbase_model: me/street\n"
    ModelCard(f"---\n{good}---\n").validate()
    result = "task: {type: x}, dataset: {type: x}, metrics: [{type: x}]"
    for bad in (
        "license: mine",
        "base_model: /home/me/street",
        "datasets:\n- /home/me/pairs",
        "tags:\n- 3",
        f"model-index:\n- results: [{{{result}}}]",
    ):
        with pytest.raises(ValueError, match=bad.split(":")[0].replace("-", ".")):
            ModelCard(f"---\n{bad}\n---\n").validate()
    assert HfApi().endpoint == hub.url


def test_a_model_that_travels_with_its_code(push, hub):
    """Its files and card, in the main revision and in that of a step; the library needs neither flag nor code."""
    output, _ = push("with-code", "--hub_standalone", "--hub_strategy", "every_save")
    repo_id = f"{hub.user}/with-code"
    for revision, argument in (("main", ""), ("step-0000001", ', revision="step-0000001"')):
        files = HfApi().list_repo_files(repo_id, revision=revision)
        assert {"pipeline.py", "block.py", "modular_config.json", "modular_model_index.json"} <= set(files)
        text = ModelCard.load(hf_hub_download(repo_id, "README.md", revision=revision)).text
        assert f'DiffusionPipeline.from_pretrained("{repo_id}"{argument}, trust_remote_code=True)' in text
        assert "> Runs with or without spade_hf" in text and "Run `import spade_hf` first" not in text
        index = json.loads(Path(hf_hub_download(repo_id, MODULAR_INDEX, revision=revision)).read_text())
        where = index["generator"][2]
        assert where["pretrained_model_name_or_path"] == repo_id
        assert where["revision"] == (None if revision == "main" else revision)
    assert SPADEPipeline.from_pretrained(repo_id).generator is not None
    delete_existing_run(output)
    assert not list(output.glob("*.py")) and not (output / MODULAR_INDEX).exists()


def test_own_files_are_not_taken_for_a_model_s_code(start, data, tmp_path):
    (tmp_path / "pipeline.py").write_text("mine = 1")
    options = (*SMALL, "--dataset_name", data, "--output_dir", tmp_path)
    with pytest.raises(pytest.fail.Exception, match=r"has files that no run wrote .*: pipeline\.py\. Move them"):
        start(*options, "--push_to_hub", "--hub_standalone")
    start(*options)  # this one would not replace it
