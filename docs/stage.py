"""Copy the sources of the documentation site into a folder, so that pages read the same on GitHub and on the site.

python docs/stage.py outputs/docs_source

Copies README.md, CONTRIBUTING.md, CHANGELOG.md, the pages and styles of docs/ and every file of the repository that a
copied page links to, each to the same path below the folder. Links therefore need no rewriting. `make docs` runs this,
then builds the site.
"""

import argparse
import re
import shutil
from pathlib import Path


ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def linked_files(pages: list[Path]) -> set[Path]:
    """Find the pages and all files of the repository that they link to, directly or through other pages.

    Args:
        pages (`list[Path]`): Markdown files, absolute.

    Raises:
        ValueError: If a page links to a path that is not a file of the repository.
    """
    found, left = set(pages), list(pages)
    while left:
        page = left.pop()
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):  # https:, mailto:
                continue
            path = (page.parent / target).resolve()
            if not path.is_file() or not path.is_relative_to(ROOT):
                raise ValueError(f"{page.relative_to(ROOT)} links to {target}, which is not a file of the repository")
            if path not in found:
                found.add(path)
                left += [path] if path.suffix == ".md" else []
    return found


def main() -> None:
    """Replace the folder's content with the sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="target folder; its old content is deleted")
    folder = parser.parse_args().folder.resolve()
    if folder == ROOT or ROOT.is_relative_to(folder):
        parser.error(f"{folder} contains the repository")
    shutil.rmtree(folder, ignore_errors=True)
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    styles = (ROOT / "docs").glob("*.css")
    for path in linked_files([*pages, *sorted((ROOT / "docs").rglob("*.md"))]) | {*styles}:
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


if __name__ == "__main__":
    main()
