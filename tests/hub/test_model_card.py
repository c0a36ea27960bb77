"""Cards of foreign models: their names are text, whatever they hold."""

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.hub.model_card import label_table, write_converted_model_card
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
        "| id | name | colour |",
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
