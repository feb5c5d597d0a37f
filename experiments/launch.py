"""How every binary starts and ends: logging, exit codes, no traceback for a mistake."""

import errno
import logging as standard_logging
import pathlib
import sys
from collections.abc import Callable, Sequence

import jax
from absl import app, logging

from facedirs_jax import files
from facedirs_jax.devices import cpu_name
from facedirs_jax.errors import InputError

from .run_flags import default_cache


def launch(run: Callable[[], int]) -> None:
    """Runs a binary and exits with its code.

    Args:
        run: does the work once flags are parsed; gives the exit code. An `InputError`
            out of it, or a full disk, is printed as one line and ends the process with
            code 2; Ctrl-C ends it with 130.
    """

    def main(argv: list[str]) -> int:
        logging.use_absl_handler()
        logging.set_verbosity(logging.INFO)
        standard_logging.getLogger("jax").setLevel(standard_logging.WARNING)
        if len(argv) > 1:
            print(
                f"error: unexpected argument {argv[1]!r}; see --help", file=sys.stderr
            )
            return 2
        keep_compiled()
        try:
            return run()
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            place = error.filename or "the disk"
            print(
                f"error: {place}: {error.strerror}; free some room and pass --resume",
                file=sys.stderr,
            )
            return 2
        except KeyboardInterrupt:
            print("stopped; pass --resume to go on", file=sys.stderr)
            return 130

    app.run(main)


def keep_compiled() -> None:
    """Has JAX keep compiled code in the user's cache folder, for the next start.

    JAX_COMPILATION_CACHE_DIR names another folder; JAX_ENABLE_COMPILATION_CACHE=false
    turns it off. A folder for each kind of CPU, since code for one may hold
    instructions that another lacks.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore
        return
    cache = pathlib.Path(default_cache())
    place = cache / f"compiled-{files.sha256_text(cpu_name())[:16]}"
    try:
        for folder in (cache, place):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return  # compiled anew at each start, then
    jax.config.update("jax_compilation_cache_dir", str(place))


def keep_apart(images: Sequence[str], out_dir: str) -> None:
    """Refuses an --out_dir inside the pictures, where a run would read its own figures.

    Raises:
        InputError: if it is.
    """
    out = pathlib.Path(out_dir).resolve()
    for folder in images:
        if out.is_relative_to(pathlib.Path(folder).resolve()):
            raise InputError(
                f"--out_dir {out_dir} lies inside the pictures of {folder}; choose one "
                "outside"
            )
