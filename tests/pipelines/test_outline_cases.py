"""The library's half of the table of outlines; the page's is in tests/spaces_demo/test_outlines_js.py."""

import json

import pytest

from .. import outline_cases


CASES = json.loads(outline_cases.FILE.read_text(encoding="utf-8"))


def test_the_table_is_of_these_cases():
    for name, cases in (("refined", outline_cases.REFINED), ("kept", outline_cases.KEPT)):
        assert [{key: one[key] for key in case} for one, case in zip(CASES[name], cases, strict=True)] == cases
    assert CASES["network"] == outline_cases.NETWORK and CASES["levels"] == outline_cases.LEVELS


@pytest.mark.parametrize("case", CASES["refined"])
def test_natural_maps(case):
    found = outline_cases.refined(case)
    assert found["natural"] == case["natural"]
    for one, expected in zip(found["calls"], case["calls"], strict=True):
        assert one["log_snr"] == pytest.approx(expected["log_snr"], abs=1e-5)
        assert one["noisy"] == pytest.approx(expected["noisy"], abs=1e-4)


@pytest.mark.parametrize("case", CASES["parts"])
def test_parts(case):
    assert outline_cases.parts(case["painted"]) == case


@pytest.mark.parametrize("case", CASES["kept"])
def test_kept_parts(case):
    assert outline_cases.kept(case) == case
