"""What the tests of discover_ssi share: settings of a run, readers of its files."""

import csv
import pathlib

import numpy as np
import safetensors.numpy

from experiments.discover_ssi import Config
from experiments.inputs import Source

ROOT = pathlib.Path(__file__).parents[2]
N, F = 10, 6  # portraits, face donors of the runs from the command line


def command_line(portraits, out) -> list[str]:
    return [
        f"--images={portraits}",
        f"--out_dir={out}",
        "--regions=nose,eyes",
        f"--face_donors={F}",
        "--seed=3",
        "--chunk=1",
        "--save_templates",
    ]


def same_as_command_line(portraits, out) -> Config:
    return Config(
        Source((str(portraits),)),
        str(out),
        regions=("nose", "eyes"),
        face_donors=F,
        seed=3,
        chunk=1,
        save_templates=True,
    )


def status_of(out) -> list[dict[str, str]]:
    with open(out / "status.csv", encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def tensors(out, name) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(out / f"{name}.safetensors")
