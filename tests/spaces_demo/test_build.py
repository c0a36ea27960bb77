"""The static page's files, and how they get to the Hub."""

import json
import re

import pytest
from huggingface_hub import HfApi

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.demo.page_files import PAGE

from ..tiny_networks import tiny_generator, tiny_outlines


def test_scripts_styles_and_elements_are_copied_as_they_are(build, tmp_path):
    build.copy_page(tmp_path)
    copies = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"page.js", "mask_canvas.js", "mask_canvas.css", "mask_canvas.html"} <= copies.keys()
    for name, data in copies.items():
        shared = name not in build.PAGE_FILES
        assert data == ((PAGE if shared else build.HERE) / name).read_bytes(), name
    scripts = [data.decode() for name, data in copies.items() if name.endswith(".js")]
    imported = {name for script in scripts for name in re.findall(r'from "\./([^/"]+)";', script)}
    assert imported <= copies.keys()


def test_names_of_labels_are_text(build):
    names = ["sky & cloud", "<b>"]
    rows = [{"id": i, "name": name, "color": [i, i, i]} for i, name in enumerate(names)]
    processor = SPADEImageProcessor(label_set=LabelSet.from_dict({"labels": rows}))
    pipeline = SPADEPipeline(tiny_generator(num_labels=2), processor)
    invitation = build.page_config(pipeline, {}, None)["invitation"]
    assert invitation == "Draw where sky & cloud and <b> are. The model paints the picture."


def test_outlines_are_of_all_labels_but_the_unknown_one(build):
    rows = [{"id": i, "name": f"label {i}", "color": [i, i, i]} for i in (0, 2)]
    processor = SPADEImageProcessor(label_set=LabelSet.from_dict({"labels": rows, "ignore_index": 1}))
    pipeline = SPADEPipeline(tiny_generator(num_labels=2, use_unknown_label=True), processor)
    assert build.page_config(pipeline, {}, None)["outlines"] is None
    pipeline.register_modules(outline_model=tiny_outlines(num_labels=2, min_log_snr=-9.0))
    outlines = build.page_config(pipeline, {}, None)["outlines"]
    others = {"first_strength": 0.5, "steps": 4, "layout_steps": 16, "reduction": 1}
    assert outlines == {"classes": [0, 2], "min_log_snr": -9, "max_log_snr": 4, **others}
    half_head = tiny_generator(num_labels=2, use_unknown_label=True, head_upsampling=2)
    pipeline.register_modules(generator=half_head)
    assert build.page_config(pipeline, {}, None)["outlines"]["reduction"] == 2


def test_with_an_outline_model_there_is_a_label_for_what_is_not_painted(build):
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"))
    pipeline = SPADEPipeline(tiny_generator(num_labels=12), processor)
    config = build.page_config(pipeline, {}, None)
    assert "unpainted" not in config["canvas"] and config["num_labels"] == len(config["label_ids"]) == 12
    pipeline.register_modules(outline_model=tiny_outlines(num_labels=12))
    config = build.page_config(pipeline, {}, None)
    assert config["canvas"]["unpainted"] == config["canvas"]["blank"] == 12 and config["label_ids"][12] == 255
    assert config["labels"][12]["name"] == "not painted" and config["num_labels"] == 12
    assert config["labels"][config["stand_in"]]["name"] == "sky" and config["label_names"][12] == "unknown"


def test_the_segmenter_is_a_file_that_is_not_loaded_with_the_page(build, photographer, tmp_path):
    parts = tmp_path / "parts"
    parts.mkdir()
    files = {name: parts / f"{name}.onnx" for name in ("generator", "segmenter")}
    for file in files.values():
        file.write_bytes(bytes(7))
    config = build.page_config(photographer, files, None)
    sizes = [(64, 64), (64, 96)]  # of each format, as the library reads a photograph of its proportions
    assert config["segmenter"] == {"url": "segmenter.onnx", "bytes": 7, "classes": list(range(12)), "sizes": sizes}
    assert config["files"].keys() == {"generator"} and "photo" in config["invitation"]
    (parts / "config.json").write_text(json.dumps(config))
    build.publish(parts, tmp_path / "site")
    worker = (tmp_path / "site" / "service_worker.js").read_text()
    assert "generator.onnx" in worker and "segmenter.onnx" not in worker
    (segmenter,) = (tmp_path / "site").glob("*/segmenter.onnx")
    assert segmenter.read_bytes() == bytes(7)
    assert build.page_config(photographer, {}, None)["segmenter"] is None


def test_it_becomes_a_static_space(build, pipeline, hub, tmp_path, monkeypatch, capsys):
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in build.RUNTIME_FILES:
        (runtime / name).write_text(name)
    asked = []
    monkeypatch.setattr(build, "export_generator", lambda *args, **options: asked.append(options) or exported)
    monkeypatch.setattr(build, "export_outline_model", lambda *args, **options: exported)
    exported = build.export_style_encoder(pipeline)
    exported.metadata_props.add(key="num_codes", value="12")
    exported.metadata_props.add(key="kernel_size", value="3")
    exported.metadata_props.add(key="divisors", value="[1]")
    pipeline.save_pretrained(tmp_path / "model")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    options = ["--model", str(tmp_path / "model"), "--output_dir", str(tmp_path / "site"), "--runtime", str(runtime)]
    older = "0123456789abcdef"  # the folder of an older version, here and on the Hub
    (tmp_path / "site" / older).mkdir(parents=True)
    (tmp_path / "site" / older / "config.json").touch()
    (tmp_path / "site" / "mine.txt").touch()
    api = HfApi()
    api.create_repo("alice/browser-page", repo_type="space", space_sdk="static")
    api.upload_file(
        repo_id="alice/browser-page", repo_type="space", path_or_fileobj=b"old", path_in_repo=f"{older}/page.js"
    )
    build.main([*options, "--repo_id", "alice/browser-page", "--dtype", "float16"])
    assert asked == [{"dtype": "float16", "modulation": "sparse"}]
    assert "alice/browser-page" in capsys.readouterr().out
    card = (tmp_path / "site" / "README.md").read_text()
    assert "sdk: static" in card
    files = json.loads((tmp_path / "site" / "service_worker.js").read_text().split("FILES = ")[1].split(";\n")[0])
    config = next((tmp_path / "site").glob("*/config.json"))
    version = config.parent.name
    parts = ("page.js", "generator.onnx", "encoder.onnx", "outlines.onnx", "runtime/ort.wasm.min.js")
    assert {"./", "index.html", *(f"{version}/{name}" for name in parts)} < set(files)
    assert not any(name.endswith(".mjs") for name in files)  # which not every host sends as a script
    addresses = re.findall(r'(?:src|href)="([^"]+)"', (tmp_path / "site" / "index.html").read_text())
    assert {address.partition("/")[0] for address in addresses} == {version, "data:,"}
    assert not (tmp_path / "site" / older).exists() and (tmp_path / "site" / "mine.txt").is_file()
    names = api.list_repo_files("alice/browser-page", repo_type="space")
    assert f"{version}/page.js" in names and f"{older}/page.js" not in names
    with pytest.raises(ValueError, match="lacks ort.wasm.min.mjs. Give the folder dist of onnxruntime-web"):
        build.main([*options[:-1], str(tmp_path)])
