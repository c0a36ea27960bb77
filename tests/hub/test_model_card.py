"""Cards of converted models and of the bundled one; names of foreign models are text, whatever they hold."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from spade_hf import BUNDLED_MODEL, LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.hub.model_card import label_table, without_folder, write_converted_model_card
from spade_hf.labels.label_set import Label
from spade_hf_cli import main

from ..tiny_networks import tiny_generator


LABELS = LabelSet(
    name="bad\x1b[2J",
    labels=(
        Label(0, "sky|sea", (1, 2, 3)),
        Label(1, "<img src=x onerror=alert(1)>", (4, 5, 6)),
        Label(2, "\x1b[31mred\r\nline", (7, 8, 9)),
        Label(3, "[link](http://x) `code` a\\b", (10, 11, 12)),
    ),
)


def pipeline() -> SPADEPipeline:
    return SPADEPipeline(generator=tiny_generator(), image_processor=SPADEImageProcessor(label_set=LABELS))


def test_names_in_a_table_are_text():
    assert label_table(pipeline()).splitlines() == [
        "## Labels (bad\ufffd\\[2J)",
        "",
        "| id | name | color |",
        "|---|---|---|",
        "| 0 | sky\\|sea | `#010203` |",
        "| 1 | &lt;img src=x onerror=alert(1)&gt; | `#040506` |",
        "| 2 | \ufffd\\[31mred\ufffd\ufffdline | `#070809` |",
        "| 3 | \\[link\\](http://x) \\`code\\` a\\\\b | `#0a0b0c` |",
    ]


def test_a_terminal_gets_no_control_characters(tmp_path, capsys):
    SPADEImageProcessor(label_set=LABELS).save_pretrained(tmp_path / "image_processor")
    assert main(["labels", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\r" not in out
    assert len(out.splitlines()) == 1 + 4 and "\ufffd[31mred\ufffd\ufffdline" in out


def test_a_converted_models_card_says_what_to_install(tmp_path):
    write_converted_model_card(pipeline(), tmp_path, source="latest_net_G.pth")
    assert 'import SPADEPipeline  # pip install "." (in a clone' in (tmp_path / "README.md").read_text("utf-8")


def test_the_hub_takes_the_cards_and_shows_no_code_of_diffusers(hub, tmp_path):
    write_converted_model_card(pipeline(), tmp_path, source="latest_net_G.pth")
    for folder in (tmp_path, Path(BUNDLED_MODEL)):
        card = ModelCard.load(folder / "README.md")
        card.validate()
        assert card.data.library_name == "spade-hf" and "diffusers" in card.data.tags and card.data.license
    bundled = SPADEPipeline.from_pretrained(BUNDLED_MODEL)
    assert label_table(bundled).split("\n\n", 1)[1] in card.text
    assert card.data.eval_results is not None and "POST /api/validate-yaml" in hub.requests


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("me/street", "me/street"),
        ("/home/me/street", "street"),  # also where no such folder is, as on another machine
        ("~/street", "street"),
        (["/home/me/a.json", "b"], ["a.json", "b"]),
        ("", ""),
        (None, None),
        (3, 3),
    ],
)
def test_a_path_is_its_last_part(value, shown):
    assert without_folder(value) == shown


def test_an_existing_path_is_one(tmp_path, monkeypatch):
    (tmp_path / "me" / "street").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert without_folder("me/street") == "street"
