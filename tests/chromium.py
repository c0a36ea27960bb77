"""The browser of the tests of the painting pages."""

import shutil


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
