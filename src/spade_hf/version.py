__version__ = "0.2.0.dev0"  # the one place: pyproject.toml and the package read it here
