import io
import logging
import sys
import types

import pytest

from facedirs_jax import progress
from facedirs_jax.progress import LOG_SECONDS, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until its `now`, in seconds, is set."""
    clock = types.SimpleNamespace(now=1000.0)
    fake = types.SimpleNamespace(monotonic=lambda: clock.now)
    monkeypatch.setattr(progress, "time", fake)
    return clock


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="absl")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_terminal_shows_a_bar_and_no_log(monkeypatch, clock, lines):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with Progress("nose", total=40, unit="blend", done=10) as bar:
        assert "nose:  25%" in screen.getvalue()
        clock.now += 10 * LOG_SECONDS
        bar.advance_to(30)
    last = screen.getvalue().split("\r")[-1]
    assert "75%" in last and "30/40" in last and "blends" in last
    assert last.endswith("\n")
    assert lines() == []


def test_the_bar_is_closed_when_the_work_fails(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with pytest.raises(KeyboardInterrupt), Progress("nose", total=4, unit="blend"):
        raise KeyboardInterrupt
    assert screen.getvalue().endswith("\n")


def test_elsewhere_there_is_no_bar_but_a_line_now_and_then(capsys, clock, lines):
    with Progress("nose", total=400, unit="blend") as work:
        for second in range(1, 100):
            clock.now = 1000 + second
            work.advance_to(2 * second)
    assert LOG_SECONDS == 30
    assert lines() == [
        "nose: 60 of 400 blends, 2.0 a second",
        "nose: 120 of 400 blends, 2.0 a second",
        "nose: 180 of 400 blends, 2.0 a second",
    ]
    assert capsys.readouterr() == ("", "")


def test_work_that_is_soon_done_says_nothing(capsys, clock, lines):
    with Progress("nose", total=4, unit="blend") as work:
        clock.now += LOG_SECONDS - 0.1
        work.advance_to(4)
    assert lines() == []
    assert capsys.readouterr() == ("", "")


def test_the_rate_is_of_this_run_and_the_count_of_all(clock, lines):
    with Progress("nose", total=400, unit="blend", done=300) as work:
        clock.now += 50
        work.advance_to(320)
    assert lines() == ["nose: 320 of 400 blends, 0.4 a second"]
