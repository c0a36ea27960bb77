"""Mitsuba 3 on the CPU (`mi`), its compiler Dr.Jit (`dr`) with a usable LLVM, and a denoiser (`oidn`)."""

import glob
import os
import re


__all__ = ["dr", "mi", "oidn"]

MINIMUM_LLVM = 16  # 14 and 15 abort the process
LLVM_FILES = "/usr/lib/*/libLLVM*.so*"
PATH_VARIABLE = "DRJIT_LIBLLVM_PATH"
REMEDY = f"LLVM {MINIMUM_LLVM} or newer is needed: apt-get install libllvm19, or set {PATH_VARIABLE} to its library"


def llvm_version(path: str) -> int | None:
    """Read the major version in the name of an LLVM library, `None` if the name has none."""
    found = re.search(r"(?:-|\.so\.)(\d+)", os.path.basename(path))
    return int(found[1]) if found else None


def choose_llvm() -> None:
    """Point Dr.Jit to the newest LLVM, unless the user set one: by default it takes the first one, even if too old.

    Raises:
        ImportError: all LLVM libraries found are too old. If none is found, Dr.Jit does its own search.
    """
    if path := os.environ.get(PATH_VARIABLE):
        if (llvm_version(path) or MINIMUM_LLVM) < MINIMUM_LLVM:
            raise ImportError(f"{PATH_VARIABLE} is {path}. {REMEDY}")
        return
    newest, path = max(((llvm_version(path) or 0, path) for path in glob.glob(LLVM_FILES)), default=(0, None))
    if newest >= MINIMUM_LLVM:
        os.environ[PATH_VARIABLE] = path
    elif path is not None:
        raise ImportError(f"{path} is too old. {REMEDY}")


choose_llvm()  # before the imports, which load it
import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
import mitsuba_oidn as oidn  # noqa: E402


try:
    mi.set_variant("llvm_ad_rgb")
except ImportError as error:
    raise ImportError(REMEDY) from error
