"""Faces rendered from known factors: the folder that `render_faces` makes.

Its table gives every picture its labels: the condition, all factors, and the lengths
measured on the mesh. A config is a use: `portraits`, `controlled`, `demographic`,
`sweeps`, `training`; see `rendering.presets`.
"""

import pathlib
from collections.abc import Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from facedirs_jax.datasets.builder import FaceDataset
from facedirs_jax.datasets.labels import Face, Found, Kind
from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factor_table import (
    FILE_NAME,
    MEASURE_SUFFIX,
    read_factor_table,
)
from facedirs_jax.rendering.factors import FACTORS
from facedirs_jax.rendering.measures import MEASURES
from facedirs_jax.rendering.presets import PRESETS


class RenderedFaces(FaceDataset):
    """Rendered faces; see the module and `FaceDataset`.

    Labels: `condition`; every factor of `rendering.factors`, under its name, in its own
    unit; every measure of `rendering.measures`, `<name>_mm`. The splits are those of
    the table.
    """

    name = "rendered"
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [
        tfds.core.BuilderConfig(name=preset) for preset in PRESETS
    ]
    LABELS: ClassVar[Mapping[str, Kind]] = {
        **{"condition": str, "split": str},
        **{name: str if known.choices else float for name, known in FACTORS.items()},
        **{f"{name}{MEASURE_SUFFIX}": float for name in MEASURES},
    }
    ABOUT: ClassVar[str] = "Faces of nobody, rendered from known factors."
    TREE: ClassVar[str] = f"images/000000.png, {FILE_NAME}: what render_faces makes"

    def find(self, folder: pathlib.Path) -> Found:
        table = read_factor_table(folder / FILE_NAME)
        known = {
            "condition": table.conditions,
            "split": table.splits,
            **table.columns,
        }
        lacking = [name for name in self.LABELS if name not in known]
        if lacking:
            raise InputError(
                f"{folder / FILE_NAME}: has no column {', '.join(lacking[:5])}; make "
                "the folder with render_faces"
            )
        rows = zip(*(known[name].tolist() for name in self.LABELS), strict=True)
        people = zip(table.files, table.identities.tolist(), rows, strict=True)
        return Found(
            [
                Face(
                    file,
                    folder / file,
                    str(person),
                    dict(zip(self.LABELS, row, strict=True)),
                )
                for file, person, row in people
            ],
            [],
        )

    def split_of(self, face: Face) -> str:
        return str(face.labels["split"])
