"""Several processes share a run of discover_ssi; one is killed and started again."""

import dataclasses
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors
from ssi_runs import ROOT, command_line, same_as_command_line

from experiments import discover_ssi
from facedirs_jax.errors import InputError


def started(portraits, out, environment, process, *more):
    command = [sys.executable, "-m", "experiments.discover_ssi"]
    asked = [a for a in command_line(portraits, out) if a != "--save_templates"]
    own = ["--num_processes=2", f"--process_id={process}", "--processes=1", *more]
    return subprocess.Popen(
        [*command, *asked, *own],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def directions(out):
    path = out / "directions.safetensors"
    with safetensors.safe_open(path, framework="numpy") as opened:
        return {name: opened.get_tensor(name) for name in sorted(opened.keys())}


def covariance(tensors, region):
    vectors = tensors[f"{region}/directions"].astype(np.float64)
    return vectors.T * tensors[f"{region}/eigenvalues"] @ vectors


def test_two_processes_find_the_directions_of_one(
    portraits, out, environment, tmp_path
):
    shared = tmp_path / "shared"
    first = started(portraits, shared, environment, 0)  # waits for the other
    other = started(portraits, shared, environment, 1)
    part = tmp_path / "shared.process_1"
    while not (part / "run.json").exists():
        assert other.poll() is None, other.communicate()[0]
        time.sleep(0.05)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    again = started(portraits, shared, environment, 1, "--resume")
    told = again.communicate(timeout=300)[0]
    assert again.returncode == 0, told
    results = first.communicate(timeout=300)[0]
    assert first.returncode == 0, results
    assert "part 1 of 2 is done" in told or "is complete already" in told
    assert json.loads((part / "run.json").read_text())["state"] == "complete"
    assert not (part / "directions.safetensors").exists()
    found, expected = directions(shared), directions(out)
    assert found.keys() == expected.keys()
    for region in ("nose", "eyes"):
        # Covariances, since rounding turns components with nearly equal eigenvalues.
        one, two = (covariance(tensors, region) for tensors in (expected, found))
        largest = expected[f"{region}/eigenvalues"][0]
        np.testing.assert_allclose(two, one, rtol=0, atol=1e-6 * largest)
        means = found[f"{region}/mean"], expected[f"{region}/mean"]
        np.testing.assert_allclose(*means, rtol=0, atol=1e-6)  # pyright: ignore


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"num_processes": 2, "process_id": 2}, "--process_id=2 is none of 0 to 1"),
        ({"num_processes": 2}, "--save_templates writes from one process"),
    ],
)
def test_what_processes_cannot_share_is_refused(
    portraits, tmp_path, changes, complaint
):
    config = same_as_command_line(portraits, tmp_path / "out")
    with pytest.raises(InputError, match=complaint):
        discover_ssi.run(dataclasses.replace(config, **changes))
