"""What a training tells of itself: a JSONL file, a line now and then, its speed."""

import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import tqdm
from absl import logging

from facedirs_jax import devices, files, progress
from facedirs_jax.errors import InputError

_PEAK_SIDES = (1024, 2048)  # of the matrices that are multiplied
_COLD_STEPS = 2  # at the start, left out of the speed


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Records of a JSONL file; of one that was cut off within a line, those before.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


class MetricsLog:
    """Appends records to a JSONL file: one line a step, and one a validation.

    Args:
        path: the file; records after `step` are taken out, so that a run which goes on
            from that step writes what an uninterrupted one does.
        step: last step whose record is kept.
    """

    def __init__(self, path: pathlib.Path, *, step: int):
        kept = read_log(path) if path.exists() else []
        kept = [record for record in kept if record["step"] <= step]
        files.write_text(path, "".join(map(_line, kept)))
        self._path = path

    def add(self, record: Mapping[str, Any]) -> None:
        """Appends one record, plain JSON values."""
        with open(self._path, "a", encoding="utf-8") as opened:
            opened.write(_line(record))


def _line(record: Mapping[str, Any]) -> str:
    rounded = {
        name: float(f"{value:.7g}") if isinstance(value, float) else value
        for name, value in record.items()
    }
    return json.dumps(rounded) + "\n"


class Speed(NamedTuple):
    """How fast steps were done.

    Attributes:
        examples_per_second: of training.
        gflops: 1e9 floating-point operations a second, as XLA counts those of a step.
        share_of_peak: gflops over those of `matmul_peak`.
    """

    examples_per_second: float
    gflops: float
    share_of_peak: float

    def __str__(self) -> str:
        if math.isnan(self.examples_per_second):
            return "speed not measured"
        return (
            f"{self.examples_per_second:.1f} examples/s, {self.gflops:.1f} GFLOP/s, "
            f"{100 * self.share_of_peak:.0f} % of the peak of a matrix product"
        )


def matmul_peak(mesh: jax.sharding.Mesh, *, dtype: str = "float32") -> float:
    """Measures the speed of matrix products, rows split over the mesh, in GFLOP/s.

    Args:
        mesh: the devices.
        dtype: of the matrices.

    Returns:
        The best of a few products of [1024, 1024] and [2048, 2048] matrices.
    """
    product = jax.jit(jnp.matmul)
    fastest = 0.0
    for side in _PEAK_SIDES:
        rows = -(-side // mesh.size) * mesh.size
        matrix = jnp.ones((side, side), dtype)
        left = devices.split(jnp.ones((rows, side), dtype), mesh)
        right = devices.copied(matrix, mesh)
        product(left, right).block_until_ready()
        for _ in range(4):
            started = time.perf_counter()
            product(left, right).block_until_ready()
            seconds = time.perf_counter() - started
            fastest = max(fastest, 2 * rows * side**2 / seconds / 1e9)
    return fastest


def step_flops(compiled: Any, mesh: jax.sharding.Mesh) -> float:
    """Floating-point operations of one call, on all devices, as XLA's analysis counts.

    Args:
        compiled: of `jax.jit(f).lower(...).compile()`.
        mesh: the devices that it runs on; NaN where the backend cannot tell.

    Returns:
        Their number.
    """
    analysis = compiled.cost_analysis() or {}
    return float(analysis.get("flops", math.nan)) * mesh.size


class Meter:
    """Shows the progress of steps and measures their speed; use as a context manager.

    On a terminal a bar; elsewhere a log line each `progress.LOG_SECONDS`.

    Args:
        steps: in all.
        done: steps of an earlier run.
        examples: in a step.
        flops: of a step.
        peak: GFLOP/s that the machine is capable of.
    """

    def __init__(
        self, *, steps: int, done: int, examples: int, flops: float, peak: float
    ):
        self._steps, self._examples = steps, examples
        self._flops, self._peak = flops, peak
        self._busy, self.steps_seen = 0.0, 0
        self._logged = time.monotonic()
        self._bar = tqdm.tqdm(
            desc="training",
            total=steps,
            initial=done,
            unit=" steps",
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, step: int, seconds: float, told: str) -> None:
        """Counts a step of so many seconds; `told` is what a person wants to see."""
        self.steps_seen += 1
        if self.steps_seen > _COLD_STEPS:
            self._busy += seconds
        self._bar.update(step - self._bar.n)
        self._bar.set_postfix_str(told, refresh=False)
        now = time.monotonic()
        if self._bar.disable and now - self._logged >= progress.LOG_SECONDS:
            self._logged = now
            left = self.seconds_left(step) / 60
            logging.info(
                "step %d of %d, %s; %s; %.0f min left",
                *(step, self._steps, told, self.speed(), left),
            )

    def seconds_left(self, step: int) -> float:
        """Of the steps after this one, by the mean so far; NaN where there is none."""
        return (self._steps - step) * self._examples / self.speed().examples_per_second

    def speed(self) -> Speed:
        """Mean over the steps but the first few; NaN where there were no others."""
        counted = max(self.steps_seen - _COLD_STEPS, 0)
        a_second = counted / self._busy if counted else math.nan
        gflops = self._flops * a_second / 1e9
        return Speed(self._examples * a_second, gflops, gflops / self._peak)
