"""A tracker of accelerate's that writes files, for tests of what a run shows of itself."""

import json
from pathlib import Path

from accelerate.tracking import GeneralTracker
from PIL import Image


class FileTracker(GeneralTracker):
    """Lines of JSON, and images, in the logging folder."""

    name, requires_logging_directory = "file", True

    def __init__(self, run_name, logging_dir, **options):
        self.folder = Path(logging_dir)
        self.folder.mkdir(parents=True, exist_ok=True)
        super().__init__()

    @property
    def tracker(self):
        return self.folder

    def store_init_configuration(self, values):
        (self.folder / "options.json").write_text(json.dumps(values))

    def log(self, values, step=None, **options):
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def finish(self):
        (self.folder / "finished").touch()

    def log_images(self, values, step=None, **options):
        for name, images in values.items():
            Image.fromarray(images[0]).save(self.folder / f"{name}-{step}.png")


def lines(folder: Path) -> list[dict]:
    """What was logged."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
