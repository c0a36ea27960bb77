"""Only what a run wrote is deleted or replaced."""

import json

import pytest

from spade_hf.training import delete_existing_run, refuse_existing_run, refuse_foreign_files
from spade_hf.training.output_folder import NETWORK_FILES, own_files


CARD = "# A model\n\nTrained with the `spade_hf` library on mine.\n"
PIPELINE = json.dumps({"_class_name": "SPADEPipeline"})
OF_A_RUN = {
    "model_index.json": PIPELINE,
    "README.md": CARD,
    "generator/config.json": "{}",
    "generator/diffusion_pytorch_model.safetensors": "",
    "image_processor/preprocessor_config.json": "{}",
    "samples/final.png": "",
    "samples/step-0000500.png": "",
    "samples/gallery-1-mask.png": "",
    "metrics.csv": "step,kl\n5,0.1\n",
    "losses.png": "",
    "validation_files.txt": "a.png\n",
    "checkpoint-5/training_state.json": "{}",
    "checkpoint-5/optimizer.bin": "",
    "checkpoint-7.abandoned/training_state.json": "{}",
    "checkpoint-7.abandoned-2/training_state.json": "{}",
    "checkpoint-9.partial/optimizer.bin": "",
    ".upload-k3_xyz12/model_index.json": "{}",
}
OF_OTHERS = {
    "samples/holiday.jpg": "",
    "samples/mine.png": "",
    "generator/code.py": "",
    "checkpoint-old/training_state.json": "{}",
    "checkpoint-8.abandoned/unet.bin": "",
    ".upload-photographs/1.png": "",
    "logs/events": "",
    "notes.txt": "mine",
}


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("names", [("model_index.json", "README.md"), ("checkpoint-5/training_state.json",)])
def test_a_run_is_deleted_and_nothing_else(names, tmp_path):
    """A run that was stopped has checkpoints alone; of a finished one only the pipeline can be left."""
    write(tmp_path, OF_OTHERS | {name: OF_A_RUN[name] for name in names})
    with pytest.raises(ValueError, match="holds a run: continue it with `resume_from_checkpoint=latest`"):
        refuse_existing_run(tmp_path)
    write(tmp_path, OF_A_RUN)
    delete_existing_run(tmp_path)
    assert files_in(tmp_path) == set(OF_OTHERS)
    assert not (tmp_path / "checkpoint-5").exists() and not (tmp_path / "image_processor").exists()
    refuse_existing_run(tmp_path)


@pytest.mark.parametrize("readme", ["mine", "---\nlibrary_name: spade-hf\n---\n# Converted\n"])
def test_a_foreign_readme_is_kept_and_refused(readme, tmp_path):
    write(tmp_path, OF_A_RUN | {"README.md": readme})
    with pytest.raises(ValueError, match=r"no run wrote and this one would replace: README\.md\. Move them"):
        refuse_foreign_files(tmp_path)
    delete_existing_run(tmp_path)
    assert (tmp_path / "README.md").read_text() == readme


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": "mine"},
        {"generator/config.json": "{}"},
        {"samples/final.png": ""},
        {"metrics.csv": "name,score\n"},
        {"losses.png": ""},
        {"validation_files.txt": "mine.png\n"},
        {"samples/gallery-2.png": ""},
        {"model_index.json": json.dumps({"_class_name": "StableDiffusionPipeline"}), "unet/config.json": "{}"},
        {"checkpoint-5/unet/config.json": "{}"},
        {"model_index.json": PIPELINE},  # a converted model
    ],
    ids=lambda files: next(iter(files)),
)
def test_a_folder_without_a_run_loses_nothing(files, tmp_path):
    write(tmp_path, files)
    refuse_existing_run(tmp_path)
    delete_existing_run(tmp_path)
    assert files_in(tmp_path) == set(files)
    with pytest.raises(ValueError, match=f"would replace: {next(iter(files)).partition('/unet')[0]}\\."):
        refuse_foreign_files(tmp_path)


@pytest.mark.parametrize("name", ["SPADEOutlineModel", "SPADESegmenter"])
def test_a_run_that_leaves_a_single_network(name, tmp_path):
    config = json.dumps({"_class_name": name})
    network = {"config.json": config, "diffusion_pytorch_model.safetensors": "weights", "README.md": CARD}
    write(tmp_path, network | OF_OTHERS)
    with pytest.raises(ValueError, match="holds a run"):
        refuse_existing_run(tmp_path)
    refuse_foreign_files(tmp_path, NETWORK_FILES)
    assert own_files(tmp_path) >= set(NETWORK_FILES)
    delete_existing_run(tmp_path)
    assert files_in(tmp_path) == set(OF_OTHERS)


def test_a_config_of_others_is_kept_beside_a_pipeline_and_refused_where_an_outline_model_goes(tmp_path):
    mine = {"config.json": json.dumps({"_class_name": "UNet2DModel"}), "diffusion_pytorch_model.safetensors": ""}
    write(tmp_path, mine)
    refuse_foreign_files(tmp_path)  # a pipeline does not touch them
    with pytest.raises(ValueError, match=r"would replace: config\.json, diffusion_pytorch_model\.safetensors\. Move"):
        refuse_foreign_files(tmp_path, NETWORK_FILES)
    write(tmp_path, OF_A_RUN)
    assert not own_files(tmp_path) & set(mine)
    delete_existing_run(tmp_path)
    assert files_in(tmp_path) == set(mine)


def test_files_that_no_run_touches_are_no_hindrance(tmp_path):
    of_a_killed_run = {
        name: OF_A_RUN[name] for name in ("samples/step-0000500.png", "metrics.csv", "validation_files.txt")
    }
    of_a_killed_run["checkpoint-1.partial/x"] = ""
    write(tmp_path, of_a_killed_run | OF_OTHERS)
    refuse_existing_run(tmp_path)
    refuse_foreign_files(tmp_path)
    refuse_foreign_files(tmp_path / "new")
    write(tmp_path, OF_A_RUN)
    refuse_foreign_files(tmp_path)  # to resume it


def test_of_a_linked_checkpoint_the_link_is_deleted(tmp_path):
    write(tmp_path / "big", {"training_state.json": "{}"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint-1").symlink_to(tmp_path / "big")
    delete_existing_run(tmp_path / "out")
    assert files_in(tmp_path) == {"big/training_state.json"} and not list((tmp_path / "out").iterdir())
