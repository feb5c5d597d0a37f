"""Progress of long work: a bar on a terminal, a log line now and then elsewhere."""

import sys
import time
from typing import Self

import tqdm
from absl import logging

LOG_SECONDS = 30.0  # between two log lines where there is no terminal


class Progress:
    """Counts finished items; use as a context manager.

    Args:
        label: what is being done, for example "nose".
        total: number of items in all.
        unit: what one item is called, for example "blend".
        done: items that an earlier run has finished already.
    """

    def __init__(self, label: str, *, total: int, unit: str, done: int = 0):
        self._label, self._total, self._unit = label, total, unit
        self._done = self._done_before = done
        self._started = self._logged = time.monotonic()
        self._bar = tqdm.tqdm(
            desc=label,
            total=total,
            unit=f" {unit}s",
            initial=done,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance_to(self, done: int) -> None:
        """Says that `done` items are finished, counting those of an earlier run."""
        self._bar.update(done - self._done)
        self._done = done
        now = time.monotonic()
        if self._bar.disable and now - self._logged >= LOG_SECONDS:
            self._logged = now
            rate = (done - self._done_before) / (now - self._started)
            logging.info(
                "%s: %d of %d %ss, %.1f a second",
                *(self._label, done, self._total, self._unit, rate),
            )
