"""What a pushed model's card says to the Hub, and that no pushed file names a path of the machine."""

import re

import numpy as np
import pytest
import yaml
from huggingface_hub import HfApi, ModelCard, hf_hub_download
from PIL import Image

from spade_hf import SPADEPipeline
from spade_hf.metrics.card import load_card, update_card

from ..training_data import LABELS, write_imagefolder
from .programs import SMALL


@pytest.fixture
def push(run, hub, monkeypatch, tmp_path):
    """Train one update and push; the run's result and the files on the Hub, of all commits."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    data = write_imagefolder(tmp_path / "pairs")

    def push(name, *more):
        result = run(
            *SMALL, "--dataset_name", data, "--output_dir", tmp_path / name, "--max_train_steps", 1,
            "--push_to_hub", *more,
        )  # fmt: skip
        repo = hub.repos.get(("models", f"{hub.user}/{name}"))
        return result, [(path, file.data) for files in repo.commits.values() for path, file in files.items()]

    return push


def metadata(repo_id):
    """As it is on the Hub, once the Hub has validated it."""
    card = ModelCard.load(repo_id)
    card.validate()
    return yaml.safe_load(card.content.split("---\n")[1]), card.text


def test_a_fine_tuned_and_evaluated_model(push, hub, tmp_path):
    assert push("card-base")[0].status == 0
    result, _ = push("card-tuned", "--pretrained_model_name_or_path", f"{hub.user}/card-base", "--license", "mit")
    assert result.status == 0, result.stderr
    repo_id = f"{hub.user}/card-tuned"
    settings = {"num_images": 6, "segmenter": str(tmp_path)}
    figures = {"kid": 0.25, "miou": 0.5, "fid": None}
    options = {"dataset_name": str(tmp_path / "pairs"), "split": "validation", "settings": settings}
    update_card(load_card(repo_id), figures, model=repo_id, **options)

    data, text = metadata(repo_id)
    assert data["library_name"] == "spade-hf" and "diffusers" in data["tags"] and data["license"] == "mit"
    assert (data["base_model"], data["base_model_relation"]) == (f"{hub.user}/card-base", "finetune")
    assert f", starting from [{hub.user}/card-base](https://huggingface.co/{hub.user}/card-base)." in text
    ((kid, miou),) = [result["metrics"] for result in data["model-index"][0]["results"]]
    assert data["model-index"][0]["name"] == "card-tuned" and (kid["value"], miou["value"]) == (0.25, 0.5)
    assert kid["args"] == {"num_images": 6, "segmenter": tmp_path.name}
    assert "| 4 | rock | `#804000` |" in text  # the palette


def test_a_gallery_of_images_with_their_masks(push, hub):
    result, pushed = push("card-gallery", "--log_steps", 1)
    assert result.status == 0
    repo_id = f"{hub.user}/card-gallery"
    data, text = metadata(repo_id)
    assert [example["output"]["url"] for example in data["widget"]] == [
        "samples/gallery-1.png",
        "samples/gallery-2.png",
    ]
    mask, image = (hf_hub_download(repo_id, f"samples/gallery-1{what}.png") for what in ("-mask", ""))
    assert "| ![Mask 1](samples/gallery-1-mask.png) | ![Mask 1, painted](samples/gallery-1.png) |" in text
    assert Image.open(image).size == (32, 32)
    colors = {tuple(color) for color in np.array(Image.open(mask)).reshape(-1, 3)}
    assert colors <= {tuple(color) for color in LABELS.palette.tolist()}
    shown = set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", text))
    assert "losses.png" in shown <= {path for path, _ in pushed}
    again = SPADEPipeline.from_pretrained(repo_id)(mask, height=32, width=32).images[0]  # it can be painted with
    assert again.size == (32, 32)


def test_no_path_of_the_machine_is_pushed(push, tmp_path):
    """With every strategy, and with every option that takes a path."""
    assert push("card-base-here")[0].status == 0
    for strategy in ("end", "every_save", "checkpoint"):
        result, files = push(
            f"card-{strategy}", "--hub_strategy", strategy, "--pretrained_model_name_or_path",
            tmp_path / "card-base-here", "--discriminator_name_or_path", tmp_path / "card-base-here" / "checkpoint-1",
            "--cache_dir", tmp_path / "cache", "--report_to", "tensorboard",
        )  # fmt: skip
        assert result.status == 0, result.stderr
        assert {"README.md", "model_index.json", "generator/config.json"} <= {path for path, _ in files}
        found = [path for path, data in files if str(tmp_path).encode() in data or b"pytest-of-" in data]
        assert found == [], strategy
        assert not [path for path, _ in files if "tfevents" in path]
    card = dict(files)["README.md"].decode()
    assert "base_model" not in card and ", starting from a model that is not on the Hub." in card


def test_metadata_that_the_hub_refuses_stop_the_run_before_it_trains(push, tmp_path):
    result, _ = push("card-refused", "--license", "my-own")
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
