"""discover_ssi goes on where it was stopped, to the same bits, or says why not."""

import dataclasses
import fcntl
import json
import random
import re
import signal
import subprocess
import sys
import time

import pytest
import safetensors
from ssi_runs import ROOT, command_line, same_as_command_line

from experiments import discover_ssi
from experiments.inputs import Source
from facedirs_jax.errors import InputError


def test_a_second_run_needs_resume(portraits, out):
    with pytest.raises(InputError, match=r"holds a run \(complete\); pass --resume"):
        discover_ssi.run(same_as_command_line(portraits, out))


def contents(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def test_resuming_a_complete_run_changes_nothing(portraits, out, capsys):
    before = contents(out)
    config = dataclasses.replace(same_as_command_line(portraits, out), resume=True)
    assert discover_ssi.run(config) == 0
    assert contents(out) == before
    assert f"{out} is complete already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("seed", 4, "seed was 3 and is now 4"),
        ("regions", ("nose",), r"regions was \{.*\.\.\. and is now \{.*\}"),
        ("face_donors", None, "face_donors was 6 and is now null"),
        ("color_transfer", "lab", 'color_transfer was "none" and is now "lab"'),
        ("chunk", 2, "chunk was 1 and is now 2"),
        ("save_templates", False, "save_templates was true and is now false"),
    ],
)
def test_a_run_of_other_settings_is_refused_by_name(
    portraits, out, setting, value, named
):
    before = contents(out)
    config = dataclasses.replace(
        same_as_command_line(portraits, out), resume=True, **{setting: value}
    )
    refusal = rf"holds a run with other settings: {named}\. .* another --out_dir"
    with pytest.raises(InputError, match=refusal):
        discover_ssi.run(config)
    assert contents(out) == before


def test_other_faces_are_refused_on_resume(portraits, out):
    config = dataclasses.replace(
        same_as_command_line(portraits, out),
        source=Source((str(portraits),), limit=9),
        resume=True,
    )
    with pytest.raises(InputError, match="other settings: faces_sha256 was"):
        discover_ssi.run(config)


# As the command line, but keeps the journal after every segment, says where each region
# begins, and draws nothing.
CAREFULLY = """
import runpy
from facedirs_jax import figures, journal
figures.draw_discoveries = lambda *_, **__: {}
journal.JOURNAL_SECONDS = 0.0
untouched = journal.run_grid
def run_grid(*args, start=None, **settings):
    print("begins at", start.next_cell if start else 0, flush=True)
    return untouched(*args, start=start, **settings)
journal.run_grid = run_grid
runpy.run_module("experiments.discover_ssi", run_name="__main__", alter_sys=True)
"""


def cells_done(out, region) -> int:
    path = out / "journal" / f"{region}.safetensors"
    if not path.exists():
        return 0
    with safetensors.safe_open(path, "numpy") as opened:
        return json.loads(opened.metadata()["journal"])["next_cell"]


def test_a_killed_run_resumes_to_the_same_bits(portraits, environment, out, tmp_path):
    killed = tmp_path / "out"
    command = [sys.executable, "-c", CAREFULLY, *command_line(portraits, killed)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as process:
        while not (killed / "journal" / "nose.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(random.uniform(0, 1))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert json.loads((killed / "run.json").read_text())["state"] == "unfinished"
    reached = [cells_done(killed, region) for region in ("nose", "eyes")]
    assert reached[0] > 0

    command.append("--resume")
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    begun = re.findall(r"^begins at (\d+)$", done.stdout, flags=re.M)
    assert list(map(int, begun)) == reached
    for name in ("directions.safetensors", "templates.safetensors"):
        assert (killed / name).read_bytes() == (out / name).read_bytes(), reached


def test_two_runs_do_not_share_a_directory(quick, tmp_path):
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is working in it"):
            quick()
