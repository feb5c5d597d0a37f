"""discover_ssi: the chunk it settles on, and bfloat16."""

import json

import numpy as np
import pytest
from filled import filled
from ssi_runs import tensors

from experiments import discover_ssi, speed
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.checkpoints import save_checkpoint
from facedirs_jax.errors import InputError


def run_of(out):
    return json.loads((out / "run.json").read_text())


def test_a_small_run_takes_what_holds_its_grid(quick):
    assert run_of(quick(chunk=None))["settings"]["chunk"] == 24


def test_a_resumed_run_keeps_the_chunk_it_settled_on(quick, monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "tune_chunk", lambda *_, **__: 5)
    again = {"resume": True, "save_templates": False}
    out = quick(chunk=None, save_templates=False)
    stored = run_of(out)
    assert stored["settings"]["chunk"] == 5
    (out / "run.json").write_text(json.dumps(stored | {"state": "unfinished"}))
    monkeypatch.setattr(speed, "tune_chunk", lambda *_, **__: 7)
    assert run_of(quick(chunk=None, **again))["settings"] == stored["settings"]
    with pytest.raises(InputError, match="chunk was 5 and is now 6"):
        quick(chunk=6, **again)


@pytest.fixture
def narrow(tmp_path):
    """Checkpoint of a small network with random weights."""
    config = IResNetConfig(blocks=(1, 1, 1, 1), width=1 / 16, embedding_dim=32)
    preprocess = Preprocess(
        "arcface_112", 112, (127.5, 127.5, 127.5), 127.5, "RGB", True
    )
    network = filled(IResNet, config)
    save_checkpoint(tmp_path / "network", network, preprocess=preprocess)
    return str(tmp_path / "network")


def test_bfloat16_finds_nearly_the_same_and_reports_its_error(
    quick, narrow, tmp_path, capsys
):
    exact, out = (
        quick(backbone=narrow, precision=precision, out_dir=str(tmp_path / precision))
        for precision in ("highest", "bfloat16")
    )
    first, second = (
        tensors(folder, "directions")["nose/directions"][0] for folder in (exact, out)
    )
    assert np.abs(first @ second) > 0.99
    error = run_of(out)["template_error"]
    assert "template_error" not in run_of(exact)
    assert error["faces"] == 10 and 1e-4 < error["median"] < 0.05
    page = (out / "report.html").read_text(encoding="utf-8")
    told = f"off by {100 * error['median']:.2f} % of their length"
    assert told in page and told in capsys.readouterr().out
    assert "bfloat16" not in (exact / "report.html").read_text(encoding="utf-8")


def test_a_network_without_bfloat16_is_refused(quick):
    with pytest.raises(InputError, match="computes in float32 alone"):
        quick(precision="bfloat16")


def test_the_chunk_is_no_setting_of_a_journal(quick, monkeypatch):
    """So that processes that share a run may each have their own."""
    seen = []

    class Told(discover_ssi.Journal):
        def __init__(self, *of, settings, dim):
            seen.append(settings)
            super().__init__(*of, settings=settings, dim=dim)

    monkeypatch.setattr(discover_ssi, "Journal", Told)
    quick()
    assert seen and "'seed': 0" in seen[0] and "chunk" not in seen[0]
