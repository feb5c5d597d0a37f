"""What a binary says and exits with when its work ends badly."""

import errno

import pytest
from absl import app, logging

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
