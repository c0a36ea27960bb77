"""For tools that look for this file. All about the project is in pyproject.toml."""

from setuptools import setup


setup()
