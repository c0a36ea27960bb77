"""Nobody is told to install a name that nobody owns."""

import re
from pathlib import Path

from spade_hf import project
from spade_hf.project import install_command


ROOT = Path(__file__).parents[1]
TEXTS = [
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "src/**/*.py",
        "src/**/*.md",
        "examples/**/*.py",
        "research/**/*.py",
        "spaces_demo/**/*.md",
    )
    for path in ROOT.glob(pattern)
]


def test_what_to_type(monkeypatch):
    monkeypatch.setattr(project, "PROJECT_URL", "")
    assert install_command() == 'pip install "." (in a clone of the project)'
    assert install_command("demo") == 'pip install ".[demo]" (in a clone of the project)'
    monkeypatch.setattr(project, "PROJECT_URL", "https://example.org/spade_hf")
    assert install_command("demo") == 'pip install "spade_hf[demo] @ git+https://example.org/spade_hf"'


def test_no_page_and_no_message_installs_the_name():
    by_name = re.compile(r"pip install\W+spade[_-]hf(?!.* @ )")
    assert not [str(path) for path in TEXTS if by_name.search(path.read_text(encoding="utf-8"))]


def test_the_page_of_the_space_says_the_same():
    command = install_command("demo").removesuffix(" (in a clone of the project)")
    assert command in (ROOT / "spaces_demo" / "README.md").read_text(encoding="utf-8")
