"""Where people get this library from."""

# The address that pip can install from, such as "https://github.com/OWNER/NAME". Empty while there is none: nobody is
# told to install a name that anybody could register.
PROJECT_URL = ""


def install_command(extra: str | None = None) -> str:
    """What to type to install this library, for messages, model cards and pages.

    Args:
        extra (`str`, *optional*): The extra that is needed, as in pyproject.toml.
    """
    extra = "" if extra is None else f"[{extra}]"
    if PROJECT_URL:
        return f'pip install "spade_hf{extra} @ git+{PROJECT_URL}"'
    return f'pip install ".{extra}" (in a clone of the project)'
