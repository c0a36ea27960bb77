from spade_hf.metrics import Figures
from spade_hf.metrics.report import format_outlines, format_table


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


def test_a_figure_that_only_some_sets_have_is_beside_its_neighbors():
    exact, painted = figures(miou=0.5, sharpness=0.75, own=2.0), figures(miou=0.5, miou_exact=0.25, sharpness=0.75)
    assert format_table({"exact": exact, "painted": painted, "real": exact}).splitlines()[2:] == [
        "| miou | 0.5 | 0.5 | 0.5 |",
        "| miou_exact | - | 0.25 | - |",
        "| sharpness | 0.75 | 0.75 | 0.75 |",
        "| own | 2 | - | 2 |",
    ]


def test_nothing_is_explained_where_nothing_is_missing():
    assert format_table({"exact": figures(kid=0.25), "real": figures(kid=0.0)}).count("\n") == 2


def test_outlines_have_a_line_per_label():
    deviations = {"perimeter": -0.5, "coarse_perimeter": 0.125, "parts": 0.0, "small_parts": None}
    refined = {"kept_parts": 0.995, "painted_parts": 400, "whole_thin_parts": None, "thin_parts": 0}
    outlines = {
        "painted": {"deviations": {"tree": {**deviations, "perimeter": -0.75}}},
        "refined": {"deviations": {"tree": deviations}, **refined},
    }
    assert format_outlines(outlines).splitlines() == [
        "| painted, refined against exact | perimeter | coarse_perimeter | parts | small_parts |",
        "|---|---|---|---|---|",
        "| tree | -75%, -50% | +12%, +12% | +0%, +0% | -, - |",
        "",
        "99.5% of 400 painted parts keep their label",
    ]
