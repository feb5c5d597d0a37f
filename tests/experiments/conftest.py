"""Runs of discover_ssi: a whole one from the command line, and quick ones."""

import functools
import pathlib
import subprocess
import sys

import pytest
from ssi_runs import ROOT, command_line

from experiments import discover_ssi
from experiments.discover_ssi import Config
from experiments.inputs import Source
from facedirs_jax import charts, figures
from facedirs_jax.checkpoints import load_backbone


@pytest.fixture(scope="session")
def finished(portraits, environment, tmp_path_factory):
    """A whole run by `python -m`; its directory is `out` below the folder given."""
    folder = tmp_path_factory.mktemp("finished")
    command = [sys.executable, "-m", "experiments.discover_ssi", "--processes=1"]
    command += command_line(portraits, folder / "made" / "out")
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    (folder / "logged").write_text(done.stderr)
    return folder


@pytest.fixture(scope="session")
def out(finished):
    return finished / "made" / "out"


@pytest.fixture(scope="session")
def cache(environment):
    """Where landmarks are kept unless --cache_dir says otherwise."""
    return pathlib.Path(environment["XDG_CACHE_HOME"], "facedirs_jax")


_load_backbone = functools.cache(load_backbone)


@pytest.fixture
def quick(portraits, tmp_path, cache, monkeypatch):
    """Runs in this process, of one shape, so that only the first compiles anything.

    Noses of 6 donors in 4 faces, with but one figure.
    """
    monkeypatch.setattr(discover_ssi, "load_backbone", _load_backbone)
    monkeypatch.setattr(
        figures,
        "draw_discoveries",
        lambda found, *_, **__: {"stability": charts.draw_stability(found)},
    )

    def run(images=portraits, limit=None, backbone="dlib_resnet", **settings):
        source = Source((str(images),), backbone, limit, cache_dir=str(cache))
        asked = {
            "out_dir": str(tmp_path / "out"),
            "regions": ("nose",),
            "face_donors": 4,
            "region_donors": 6,
            "chunk": 16,
            "save_templates": True,
        }
        config = Config(source, **asked | settings)
        assert discover_ssi.run(config) == 0
        return pathlib.Path(config.out_dir)

    return run
