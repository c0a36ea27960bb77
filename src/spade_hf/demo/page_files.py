"""The files in `page/`: ES modules, CSS and HTML. The static page (`spaces_demo/browser/`) serves its share unchanged.

Gradio runs a component's script as the body of a function, where `import` and `export` are syntax errors: a module
becomes one with what it imports in front and a call of its function at the end.
"""

import re
from pathlib import Path


PAGE = Path(__file__).parent / "page"
IMPORT = re.compile(r'^import \{[^}]+\} from "\./([^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=class |function |async function |const )", re.MULTILINE)


def page_file(name: str) -> str:
    """Read a file of the page."""
    return (PAGE / name).read_text(encoding="utf-8")


def function_body(module: str, call: str) -> str:
    """Write a module as the body of a function.

    Args:
        module (`str`): Name of the file. What it imports are other files of the page, each exported name under its own
            name; all of them share one scope.
        call (`str`): The last statement, such as "mountViews(element);".
    """
    files: list[str] = []

    def add(name: str) -> None:
        for imported in IMPORT.findall(page_file(name)):
            if imported not in files:
                add(imported)
        files.append(name)

    add(module)
    texts = (EXPORT.sub("", IMPORT.sub("", page_file(name))) for name in files)
    return "\n".join([*texts, call])
