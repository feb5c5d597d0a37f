"""Run directories: one run, its settings, its lock, and what it has finished."""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from facedirs_jax import files
from facedirs_jax.errors import InputError

UNFINISHED, COMPLETE = "unfinished", "complete"
FAILED = "failed"  # before it made anything worth keeping
FILE = "run.json"
_LOCK = ".lock"
_PACKAGES = (
    *("facedirs-jax", "jax", "jaxlib", "flax", "numpy", "numba", "dlib-bin"),
    *("opencv-python-headless", "pillow"),
)


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], *, resume: bool) -> Iterator[pathlib.Path]:
    """Makes a run directory, or opens one again, for one process at a time.

    Args:
        path: the directory; made with its parents, readable by its owner alone (0700).
        resume: whether it may hold a run already.

    Yields:
        The directory.

    Raises:
        InputError: if it cannot be made, another process works in it, or it holds
            something that `resume` does not cover.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_other_files(path)  # before a lock is left among them
        lock = open(path / _LOCK, "a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{path}: another run is working in it") from error
        state = read(path)["state"] if (path / FILE).exists() else FAILED
        if state != FAILED and not resume:
            raise InputError(
                f"{path} holds a run ({state}); pass --resume to go on with it, or "
                "choose another --out_dir"
            )
        files.sweep(path)
        yield path


def _refuse_other_files(path: pathlib.Path) -> None:
    ours = (_LOCK, f".{FILE}.")  # the second: of a run killed as it wrote its first
    names = [entry.name for entry in path.iterdir() if not entry.name.startswith(ours)]
    names.sort()
    if names and FILE not in names:
        raise InputError(
            f"{path} holds other files ({', '.join(names[:3])}) and no run; choose "
            "another --out_dir"
        )


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a run directory's run.json; `state` and `settings` are among its keys.

    Raises:
        InputError: if it is missing or damaged.
    """
    try:
        run = json.loads((pathlib.Path(path) / FILE).read_text(encoding="utf-8"))
        if not isinstance(run, dict) or not {"state", "settings"} <= run.keys():
            raise ValueError("it holds no run")
        return run
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: run.json cannot be read ({error}); choose another --out_dir"
        ) from error


def begin(path: pathlib.Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Writes run.json for a run that starts or goes on.

    Args:
        path: a run directory that is locked.
        settings: all that the results depend on, plain JSON values.

    Returns:
        Content of run.json.

    Raises:
        InputError: if the directory holds a run with other settings.
    """
    settings = json.loads(json.dumps(settings))
    before = read(path) if (path / FILE).exists() else None
    if before is not None and before["state"] != FAILED:
        changed = _differences(before["settings"], settings)
        if changed:
            raise InputError(
                f"{path} holds a run with other settings: {'; '.join(changed)}. Use "
                "the same settings to resume it, or choose another --out_dir"
            )
        return before
    run = {"state": UNFINISHED, "settings": settings, **_circumstances()}
    write(path, run)
    return run


def write(path: pathlib.Path, run: Mapping[str, Any]) -> None:
    """Replaces a run directory's run.json."""
    files.write_text(path / FILE, json.dumps(run, indent=1) + "\n")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} was {_short(before.get(key))} and is now {_short(now.get(key))}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key)
    ]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def versions() -> dict[str, str]:
    """Versions of what the results depend on, by package."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def peak_memory_mb() -> int:
    """Most memory that this process has held so far, megabytes of 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def _circumstances() -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "versions": versions(),
        "git_commit": _git_commit(),
        "device": {"platform": device.platform, "kind": device.device_kind},
        "cpu_cores": os.cpu_count(),
    }


def _git_commit() -> str | None:
    """Commit of the checkout this package is run from; None outside of one."""
    top = pathlib.Path(__file__).parents[1]
    if not (top / ".git").exists():
        return None
    command = ["git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=40"]
    command += ["--exclude=*"]  # the hash, not the name of a tag
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
