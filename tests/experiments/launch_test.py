"""What a binary says and exits with when its work ends badly."""

import errno
import pathlib
import stat
import types

import pytest
from absl import app, logging

from experiments import launch as launch_module
from experiments.launch import launch
from facedirs_jax.errors import InputError


@pytest.fixture
def ended(monkeypatch, capsys):
    """Exit code and last words of a binary whose work raises an error."""

    def end(error):
        def work():
            raise error

        codes = []
        monkeypatch.setattr(app, "run", lambda main: codes.append(main(["binary"])))
        monkeypatch.setattr("experiments.launch.keep_compiled", lambda: None)
        for name in ("use_absl_handler", "set_verbosity"):  # those of other tests stay
            monkeypatch.setattr(logging, name, lambda *_: None)
        launch(work)
        return codes[0], capsys.readouterr().err

    return end


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("a.jpg: no face"), 2, "error: a.jpg: no face\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/run.json"),
            2,
            "error: out/run.json: No space left on device; free some room and pass "
            "--resume\n",
        ),
        (KeyboardInterrupt(), 130, "stopped; pass --resume to go on\n"),
    ],
)
def test_what_a_user_can_mend_is_one_line(ended, error, code, said):
    assert ended(error) == (code, said)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), ValueError("ours")])
def test_any_other_error_is_ours_and_shows_where(ended, error):
    with pytest.raises(type(error)):
        ended(error)


@pytest.fixture
def config(monkeypatch, tmp_path):
    """JAX's settings as far as `keep_compiled` knows them, by default none."""
    found = types.SimpleNamespace(jax_compilation_cache_dir=None)
    found.update = lambda name, value: setattr(found, name, value)
    monkeypatch.setattr(launch_module, "jax", types.SimpleNamespace(config=found))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return found


def test_compiled_code_is_kept_for_its_owner(config, tmp_path):
    launch_module.keep_compiled()
    place = pathlib.Path(config.jax_compilation_cache_dir)
    assert place.parent == tmp_path / "facedirs_jax"
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o700 for p in (place, place.parent))


def test_another_folder_for_compiled_code_stays(config, tmp_path):
    config.jax_compilation_cache_dir = "elsewhere"
    launch_module.keep_compiled()
    assert config.jax_compilation_cache_dir == "elsewhere"
    assert not list(tmp_path.iterdir())


def test_no_room_for_compiled_code_is_no_obstacle(config, tmp_path):
    (tmp_path / "facedirs_jax").write_text("")
    launch_module.keep_compiled()
    assert config.jax_compilation_cache_dir is None
