"""How the cost of the grid grows with faces, devices and processes.

What `bench_grid --scale` does, with one network and one region. Everything runs in
processes of its own (`grid_worker`), which take turns, so that a machine whose speed
drifts slows all of them, and whose peaks of memory are each one's own:

- sizes: milliseconds a blend of the N x N grid, and memory, for each N. Only the first
  rows of a grid are run, enough for --blends after the first segment, and the time is
  divided by their blends: a whole one of 575 faces has 330,050. Where there are fewer
  faces than N, they come again a little brighter, which changes no time.
- devices: the same over 1, 2, 4, 8 devices, virtual ones on a CPU, and on other
  machines as many as there are; and how far the covariance of the donor-centred
  templates, of which the directions are the eigenvectors, is from that of one device,
  as a share of its largest eigenvalue. Covariances, since directions with nearly equal
  eigenvalues turn with rounding.
- processes: blends a second of one process on one core of the CPU, and of two at once
  on a core each, from when the first has done its first segment to when both have
  ended.

Prints a table; writes scale.json and scale.png to --out_dir. Ends with 0 if all is done
and devices agree to 1e-6; times decide nothing.
"""

import contextlib
import dataclasses
import json
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facedirs_jax import bench_charts, figures, files, runs
from facedirs_jax.errors import InputError

from . import inputs
from .grid_worker import (
    First,
    Machine,
    Round,
    Work,
    cells_needed,
    measure,
    prepare,
    segment_cells,
)
from .ratios import ratio
from .talking import answer, asked, started

AGREE = 1e-6  # of the covariance's largest eigenvalue
CONSTANT = 0.1  # how far from 1 milliseconds a blend over those of the least N may be
TWICE = 1.7  # blends a second of two processes over those of one


@dataclasses.dataclass(frozen=True)
class Config:
    """What is measured; see the flags of bench_grid."""

    source: inputs.Source
    out_dir: str
    network: str = "dlib_resnet"
    region: str = "nose"
    sizes: tuple[int, ...] = (40, 80, 160, 320, 575)
    devices: tuple[int, ...] = (1, 2, 4, 8)
    chunk: int = 16
    blends: int = 1024
    rounds: int = 3

    def __post_init__(self):
        if len(self.sizes) < 2 or min(self.sizes) < 4:
            raise InputError(f"--sizes={self.sizes}; at least two of at least 4 faces")
        for faces, parts in ((min(self.sizes), 1), (max(self.sizes), 2)):
            if faces // parts * (faces - 1) <= segment_cells(faces, self.chunk):
                raise InputError(
                    f"--chunk={self.chunk} is too large to time a grid of {faces} "
                    "faces, or half of it; choose a smaller one, or larger --sizes"
                )


class Measured(NamedTuple):
    """What one process has told."""

    first: First
    rounds: list[Round]

    @property
    def ms(self) -> list[float]:
        """Milliseconds a blend, one a round."""
        return [found.ms_a_blend for found in self.rounds]


def sizes_of(given: Sequence[str]) -> tuple[int, ...]:
    """Numbers of faces out of their texts.

    Raises:
        InputError: if one is no whole number.
    """
    if not all(text.isdecimal() for text in given):
        raise InputError(f"--sizes={','.join(given)} are not numbers of faces")
    return tuple(map(int, given))


def run(config: Config) -> int:
    """Measures everything; gives the exit code, 0 if devices agree.

    Raises:
        InputError: if there are no faces, the network or the region is unknown, or a
            grid is too small for its chunks.
    """
    config = dataclasses.replace(config, sizes=tuple(sorted(set(config.sizes))))
    with (
        runs.locked(config.out_dir, resume=False) as out,
        tempfile.TemporaryDirectory() as folder,
    ):
        machine = _prepared(config, folder)
        sizes = _sizes(config, folder)
        devices = _devices(config, folder, machine)
        processes = _processes(config, folder)
        holds = _verdicts(sizes, devices, processes)
        settings = dataclasses.asdict(config)
        del settings["source"], settings["out_dir"]
        result = {
            "settings": settings,
            "sizes": sizes,
            "devices": devices,
            "processes": processes,
            "holds": holds,
            "machine": machine._asdict() | {"cores": _cores()},
            "versions": runs.versions(),
        }
        files.write_text(out / "scale.json", json.dumps(result, indent=1) + "\n")
        chart = bench_charts.draw_scale(
            _column(sizes, "ms_a_blend"),
            _column(devices, "ms_a_blend"),
            _column(sizes, "growth_mb"),
            _column(sizes, "resident_growth_mb"),
            processes["blends_a_second"],
        )
        figures.save_figure(out / "scale.png", chart)
    print(f"holds: {holds}\nwritten: {out / 'scale.json'}")
    return 0 if holds["devices_agree"] else 1


def _verdicts(
    sizes: Mapping[int, Any], devices: Mapping[int, Any], processes: Mapping[str, Any]
) -> dict[str, bool]:
    ratios = [found["ratio"]["median"] for found in sizes.values()]
    return {
        "constant_time": all(abs(found - 1) <= CONSTANT for found in ratios),
        "devices_agree": all(found["apart"] <= AGREE for found in devices.values()),
        "processes_add_up": processes["ratio"]["median"] >= TWICE,
    }


def _prepared(config: Config, folder: str) -> Machine:
    most = max(config.sizes)
    source = dataclasses.replace(config.source, limit=config.source.limit or most)
    given = (folder, source, config.network, config.region, most)
    with started(prepare, *given) as pipe:
        return answer(pipe)


def _sizes(config: Config, folder: str) -> dict[int, dict[str, Any]]:
    found = _in_turns(
        {faces: _work(config, folder, faces) for faces in config.sizes}, config.rounds
    )
    least = found[config.sizes[0]]
    print("\n    N  ms a blend  of the least N's  peak MB  grown by  its arrays by")
    table = {}
    for faces, measured in found.items():
        first, last = measured.first, measured.rounds[-1]
        row = table[faces] = {
            "ms_a_blend": measured.ms,
            "ratio": ratio(measured.ms, least.ms),
            "early_peak_mb": _mb(first.round.early_peak),
            "peak_mb": _mb(last.peak),
            "growth_mb": _mb(last.peak - least.rounds[-1].peak),
            "resident_mb": _mb(first.resident),
            "resident_growth_mb": _mb(first.resident - least.first.resident),
            "blends": last.blends,
        }
        middle = statistics.median(measured.ms)
        print(
            f"{faces:5} {middle:11.2f} {_span(row['ratio']):>17}{row['peak_mb']:9.0f}"
            f"{row['growth_mb']:10.1f}{row['resident_growth_mb']:15.1f}",
            flush=True,
        )
    return table


def _devices(config: Config, folder: str, machine: Machine) -> dict[int, Any]:
    there = None if machine.platform == "cpu" else machine.devices
    counts = [n for n in config.devices if there is None or n <= there]
    work = _work(config, folder, _enough(config, parts=1))
    found = _in_turns({n: work._replace(devices=n) for n in counts}, config.rounds)
    one = found[counts[0]]
    scale = np.linalg.norm(one.first.covariance, 2)
    print("\ndevices  ms a blend  speed of one's  covariance apart")
    table = {}
    for n, measured in found.items():
        apart = np.abs(measured.first.covariance - one.first.covariance).max() / scale
        row = table[n] = {
            "ms_a_blend": measured.ms,
            "speed": ratio(one.ms, measured.ms),
            "apart": float(apart),
        }
        print(
            f"{n:7} {statistics.median(measured.ms):11.2f} {_span(row['speed']):>15}"
            f"{apart:18.1e}",
            flush=True,
        )
    return table


def _processes(config: Config, folder: str) -> dict[str, Any]:
    work = _work(config, folder, _enough(config, parts=2))._replace(one_core=True)
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with contextlib.ExitStack() as stack:
        pipes = [
            stack.enter_context(started(measure, work._replace(part=(process, 2))))
            for process in range(2)
        ]
        for pipe in pipes:
            answer(pipe)
        for _ in range(config.rounds):
            for count in speeds:
                speeds[count].append(_speed(asked(pipes[:count])))
    of_one = ratio(speeds[2], speeds[1])
    print("\nprocesses  blends a second")
    for count, found in speeds.items():
        print(f"{count:9} {statistics.median(found):16.1f}")
    print(f"two over one: {_span(of_one)}; {_cores()} cores", flush=True)
    return {"blends_a_second": speeds, "ratio": of_one, "faces": work.faces}


def _speed(together: Sequence[Round]) -> float:
    """Blends a second of processes that ran at once, over all the time it took."""
    took = max(r.end for r in together) - min(r.start for r in together)
    return sum(r.blends for r in together) / took


def _work(config: Config, folder: str, faces: int) -> Work:
    return Work(folder, config.network, faces, config.blends, config.chunk)


def _enough(config: Config, *, parts: int) -> int:
    """The least N of whose grid a part has the blends of a round; else the largest."""
    for faces in config.sizes:
        needed = cells_needed(config.blends, faces, config.chunk)
        if faces // parts * faces >= needed:
            return faces
    return config.sizes[-1]


def _in_turns(works: Mapping[int, Work], rounds: int) -> dict[int, Measured]:
    """Starts a process for each, and has them do a round each, one by one."""
    with contextlib.ExitStack() as stack:
        pipes, found = [], {}
        for key, work in works.items():
            pipes.append(stack.enter_context(started(measure, work)))
            found[key] = Measured(answer(pipes[-1]), [])
        for _ in range(rounds):
            for pipe, measured in zip(pipes, found.values(), strict=True):
                measured.rounds.extend(asked([pipe]))
    return found


def _column(table: Mapping[int, Mapping[str, Any]], name: str) -> dict[int, Any]:
    return {key: row[name] for key, row in table.items()}


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _mb(count: float) -> float:
    return round(count / 1e6, 1)


def _span(found: Mapping[str, float]) -> str:
    return f"{found['median']:.2f} ({found['low']:.2f}-{found['high']:.2f})"
