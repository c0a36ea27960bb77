"""Copies the scripts into the package when it is built. All else about it is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


ROOT = Path(__file__).parent

# The scripts of `spade-hf train`, `evaluate` and `synthesize`, copied so that an installed package needs no clone.
SCRIPTS = ["examples/train_spade.py", "examples/evaluate_spade.py", "examples/synthesize_dataset.py"]


class BuildWithScripts(build_py):
    """Also copies the scripts: to spade_hf/examples in a wheel, to their own place in a source distribution."""

    def run(self) -> None:
        """Build the package, then copy the scripts."""
        super().run()
        if not self.editable_mode:  # an editable install uses the clone's files
            for script in SCRIPTS:
                target = Path(self.build_lib, "spade_hf", script)
                target.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(str(ROOT / script), str(target))

    def get_source_files(self) -> list[str]:
        """List the scripts among the sources."""
        return [*super().get_source_files(), *SCRIPTS]


setup(cmdclass={"build_py": BuildWithScripts})
