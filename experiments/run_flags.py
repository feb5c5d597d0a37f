"""Flags that many binaries have, defined for the one that asks for them."""

import os
import pathlib

from absl import flags

flags.disclaim_key_flags()  # so that --help of the caller tells of them


def default_cache() -> str:
    """Folder facedirs_jax in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return str(pathlib.Path(home, "facedirs_jax"))


def define_run_flags() -> None:
    """Defines --out_dir, which must be given, and --resume."""
    flags.DEFINE_string("out_dir", None, "Run directory to make.", required=True)
    flags.DEFINE_bool("resume", False, "Goes on with the run in --out_dir.")


def define_reading_flags() -> None:
    """Defines --processes and --cache_dir, of experiments that find faces."""
    flags.DEFINE_integer(
        "processes", os.cpu_count() or 1, "Worker processes that find faces.", 1
    )
    flags.DEFINE_string(
        "cache_dir", default_cache(), "Where landmarks are kept by content hash."
    )
