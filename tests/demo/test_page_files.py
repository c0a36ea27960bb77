"""The page's modules, as Gradio runs them."""

import re

import pytest

from spade_hf.demo.page_files import PAGE, function_body


@pytest.mark.parametrize("module", sorted(path.name for path in PAGE.glob("*.js")))
def test_a_function_body_has_no_imports_and_no_exports(module):
    body = function_body(module, "start();")
    assert not re.search(r"^\s*(import|export)\b", body, re.MULTILINE)
    assert body.endswith("\nstart();")
    names = re.findall(r"^(?:const|let|class|function|async function) (\w+)", body, re.MULTILINE)
    assert len(names) == len(set(names)) > 0  # they share one scope


def test_imported_modules_come_first_and_once():
    body = function_body("mask_canvas.js", "")
    assert body.count("class LabelGrid") == 1
    assert body.index("class LabelGrid") < body.index("function mountCanvas")
