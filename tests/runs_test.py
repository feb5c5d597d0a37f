import importlib.metadata
import json
import pathlib
import platform
import stat
import subprocess
import sys

import jax
import numpy as np
import pytest

from facedirs_jax import runs
from facedirs_jax.errors import InputError

SETTINGS = {"seed": 0, "regions": {"nose": [[27, 28, 29]]}, "mode": "corrected"}

HOLD_LOCK = """
import fcntl, sys
lock = open(sys.argv[1], "a")
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def out(tmp_path) -> pathlib.Path:
    return tmp_path / "runs" / "first"


def run_once(out, settings=SETTINGS, state=runs.COMPLETE):
    with runs.locked(out, resume=False):
        runs.write(out, runs.begin(out, settings) | {"state": state})


def test_a_run_directory_is_made_for_its_owner_alone(out):
    with runs.locked(str(out), resume=False) as path:
        assert path == out
        assert stat.S_IMODE(out.stat().st_mode) == 0o700
        runs.begin(out, SETTINGS)
    assert stat.S_IMODE((out / "run.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("resume", [False, True])
def test_an_empty_directory_will_do(out, resume):
    out.mkdir(parents=True)
    with runs.locked(out, resume=resume):
        runs.begin(out, SETTINGS)


def test_a_directory_is_for_one_process_at_a_time(out):
    out.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, out / ".lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"locked\n"
        with pytest.raises(InputError, match=f"{out}: another run is working in it"):
            with runs.locked(out, resume=True):
                pytest.fail("two runs in one directory")
        other.kill()
    with runs.locked(out, resume=True):  # a lock dies with its process
        pass


def test_the_lock_is_held_to_the_end_and_not_beyond(out):
    with pytest.raises(KeyboardInterrupt), runs.locked(out, resume=False):
        runs.begin(out, SETTINGS)
        with pytest.raises(InputError, match="another run is working in it"):
            with runs.locked(out, resume=True):
                pytest.fail("two runs in one directory")
        raise KeyboardInterrupt
    with runs.locked(out, resume=True):
        pass


@pytest.mark.parametrize("state", [runs.UNFINISHED, runs.COMPLETE])
def test_a_run_is_only_gone_on_with_when_asked(out, state):
    run_once(out, state=state)
    message = rf"{out} holds a run \({state}\); pass --resume .* another --out_dir"
    with pytest.raises(InputError, match=message):
        with runs.locked(out, resume=False):
            pytest.fail("a run was overwritten")
    with runs.locked(out, resume=True):
        assert runs.begin(out, SETTINGS)["state"] == state


@pytest.mark.parametrize("resume", [False, True])
def test_a_failed_run_may_be_started_anew_with_other_settings(out, resume):
    run_once(out, state=runs.FAILED)
    (out / "status.csv").touch()
    with runs.locked(out, resume=resume):
        run = runs.begin(out, SETTINGS | {"seed": 1})
    assert run["state"] == runs.UNFINISHED and run["settings"]["seed"] == 1
    assert runs.read(out) == run


@pytest.mark.parametrize("resume", [False, True])
def test_a_directory_of_other_files_is_left_as_it_is(tmp_path, resume):
    for name in "dcba":
        (tmp_path / name).touch()
    message = rf"{tmp_path} holds other files \(a, b, c\) and no run; choose another"
    with pytest.raises(InputError, match=message):
        with runs.locked(tmp_path, resume=resume):
            pytest.fail("a run among other files")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == list("abcd")


def test_a_path_that_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(
            InputError, match=f"{path}: cannot be written: (File|Not a)"
        ):
            with runs.locked(path, resume=False):
                pytest.fail("a run in a file")


DAMAGED = ["", '{"state": "compl', "[]", "{}", '{"state": "failed"}', "3", "\x00"]


@pytest.mark.parametrize("content", [*DAMAGED, b"\xff"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_damaged_run_is_refused(out, content, resume):
    run_once(out)
    content = content.encode() if isinstance(content, str) else content
    (out / "run.json").write_bytes(content)
    message = rf"{out}: run.json cannot be read \(.*\); choose another --out_dir"
    with pytest.raises(InputError, match=message):
        with runs.locked(out, resume=resume):
            pytest.fail("a damaged run was taken for one")
    with pytest.raises(InputError, match=message):
        runs.read(out)


def test_a_missing_run_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}: run.json .*No such file"):
        runs.read(tmp_path)


def test_a_new_run_says_what_it_was_made_with(out):
    with runs.locked(out, resume=False):
        run = runs.begin(out, SETTINGS)
    assert run["state"] == runs.UNFINISHED
    assert run["settings"] == SETTINGS
    assert run["versions"] == runs.versions()
    assert run["device"]["platform"] == jax.devices()[0].platform
    assert {"git_commit", "cpu_cores"} <= run.keys()
    assert json.loads((out / "run.json").read_text()) == run == runs.read(out)


def test_a_run_goes_on_as_it_was_left(out):
    with runs.locked(out, resume=False):
        runs.write(out, runs.begin(out, SETTINGS) | {"rates": {"nose": 12.5}})
    with runs.locked(out, resume=True):
        run = runs.begin(out, SETTINGS | {"regions": {"nose": ((27, 28, 29),)}})
    assert run["rates"] == {"nose": 12.5}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seed": 1}, "seed was 0 and is now 1"),
        ({"feather": 0.1}, "feather was null and is now 0.1"),
        (
            {"seed": 1, "mode": "paper"},
            'seed was 0 and is now 1; mode was "corrected" and is now "paper"',
        ),
        ({"mode": "x" * 70}, f'is now "{"x" * 56}[.]{{3}}[.] Use'),
    ],
)
def test_other_settings_are_named(out, change, message):
    run_once(out, state=runs.UNFINISHED)
    before = (out / "run.json").read_bytes()
    with runs.locked(out, resume=True):
        with pytest.raises(InputError, match=message):
            runs.begin(out, SETTINGS | change)
    assert (out / "run.json").read_bytes() == before


def test_a_setting_that_is_left_out_is_named(out):
    run_once(out)
    with runs.locked(out, resume=True):
        with pytest.raises(InputError, match="seed was 0 and is now null"):
            runs.begin(out, {key: SETTINGS[key] for key in ("regions", "mode")})


def test_versions_are_those_installed(monkeypatch):
    found = runs.versions()
    assert found["python"] == platform.python_version()
    assert found["jax"] == jax.__version__
    assert found["numpy"] == importlib.metadata.version("numpy")
    monkeypatch.setattr(runs, "_PACKAGES", ("no-such-package",))
    assert runs.versions()["no-such-package"] == "not installed"


def test_the_peak_memory_counts_what_was_held_and_never_falls():
    before = runs.peak_memory_mb()
    held = np.ones(40_000_000)  # 320 MB
    peak = runs.peak_memory_mb()
    assert max(before, held.nbytes / 1e6) <= peak < 100_000
    del held
    assert runs.peak_memory_mb() >= peak


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Folder that the package seems to be run from, and a way to call git in it."""
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "facedirs_jax" / "runs.py"))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # as in a git hook
        monkeypatch.delenv(name, raising=False)

    def git(*arguments: str) -> str:
        person = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *person, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return tmp_path, git


def test_the_commit_is_that_of_the_checkout(checkout):
    folder, git = checkout
    git("init")
    (folder / "file").touch()
    git("add", "file")
    git("commit", "-m", "First")
    commit = git("rev-parse", "HEAD")
    assert runs._git_commit() == commit and len(commit) == 40
    git("tag", "-a", "v1", "-m", "The first")
    assert runs._git_commit() == commit
    (folder / "file").write_text("changed")
    assert runs._git_commit() == f"{commit}-dirty"


def test_there_is_no_commit_outside_a_checkout(checkout, monkeypatch):
    _, git = checkout
    assert runs._git_commit() is None
    git("init")  # nothing is committed yet
    assert runs._git_commit() is None
    monkeypatch.setenv("PATH", "")
    assert runs._git_commit() is None
