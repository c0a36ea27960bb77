from spade_hf.metrics import Figures
from spade_hf.metrics.report import format_table


def figures(**values):
    """Figures whose values are numbers, or reasons for having none."""
    one = Figures()
    for name, value in values.items():
        one.put(name, None if isinstance(value, str) else value, str(value))
    return one


def test_each_reason_is_told_once_with_all_its_figures():
    exact = figures(kid=0.25, miou="no pairs", pixel_accuracy="no pairs", light="no scenes")
    real = figures(kid=0.0, miou="no pairs", pixel_accuracy="no pairs", light=1.0)
    assert format_table({"real": real, "exact": exact}, without_simplified="instance edges").splitlines() == [
        "| | exact | real |",
        "|---|---|---|",
        "| kid | 0.25 | 0 |",
        "| miou | - | - |",
        "| pixel_accuracy | - | - |",
        "| light | - | 1 |",
        "",
        "- miou, pixel_accuracy: no pairs",
        "- light: no scenes",
        "- painted: instance edges",
    ]


def test_nothing_is_explained_where_nothing_is_missing():
    assert format_table({"exact": figures(kid=0.25), "real": figures(kid=0.0)}).count("\n") == 2
