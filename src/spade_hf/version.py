__version__ = "0.1.0.dev0"  # the one place: setup.py and the package read it here
