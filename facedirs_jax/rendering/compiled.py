"""numba's compiler, with a cache that a change of any source makes anew.

numba keeps machine code beside each function's own file and looks at that file alone: a
function that calls one of another file would go on as it was when the other changes.
Here all code compiled from one state of the renderer's sources lies in a folder of its
own, in the user's cache, unless NUMBA_CACHE_DIR names another.
"""

import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numba
from numba.core import config

from facedirs_jax import files

_CONFIG: Any = config


@functools.cache
def cache_folder() -> pathlib.Path:
    """Where the machine code of these very sources is kept."""
    sources = sorted(pathlib.Path(__file__).parent.glob("*.py"))
    state = files.sha256_text(" ".join(files.sha256_file(path) for path in sources))
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(home, "facedirs_jax", "compiled", state[:16])


def njit(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles a function by numba.njit when it is first called, and keeps the code.

    Args:
        options: of numba.njit.

    Returns:
        A decorator.
    """

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        before = _CONFIG.CACHE_DIR
        # Read once, here: other users of numba in this process keep their own.
        _CONFIG.CACHE_DIR = os.environ.get("NUMBA_CACHE_DIR") or str(cache_folder())
        try:
            return numba.njit(cache=True, **options)(function)
        finally:
            _CONFIG.CACHE_DIR = before

    return compiled
