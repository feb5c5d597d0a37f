"""Small folders of pictures that hold what their tables say; their faces are told."""

import csv
import dataclasses
from typing import Any

import numpy as np
from PIL import Image

from facedirs_jax import alignment
from facedirs_jax.backbones import Backbone
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.rendering.factor_table import FactorTable, write_factor_table
from facedirs_jax.rendering.factors import FACTORS

SIDE = 48  # px
CONDITIONS = ("frontal", "yaw+15", "yaw-15", "light+60", "smile")
LANDMARKS = np.tile([[12.0, 12.0]], (68, 1))
LANDMARKS[alignment._ALIGNED] += 24 * np.stack(
    [alignment._MEAN_FACE.real, alignment._MEAN_FACE.imag], axis=1
)


@dataclasses.dataclass(frozen=True)
class WholePicture:
    """Finds one face in every picture that is not black."""

    fingerprint: str = "whole picture"

    def __call__(self, image):
        return [LANDMARKS] if image.any() else []


VARY = {"age", "melanin", "nose_length", "glasses", "facial_hair", "facial_hair_amount"}


def table_of(identities, conditions, seed):
    """Some factors at random, one value a person; those of the photo by condition."""
    rng = np.random.default_rng(seed)
    people = rng.permutation(1000)[:identities]
    row = np.repeat(np.arange(identities), len(conditions))
    columns = {}
    for name, factor in FACTORS.items():
        if name not in VARY:
            default = factor.choices[0] if factor.choices else np.float32(factor.low)
            columns[name] = np.full(len(row), default)
        elif factor.choices:
            columns[name] = rng.choice(factor.choices, identities)[row]
        else:
            drawn = rng.uniform(factor.low, factor.high, identities)
            columns[name] = drawn.astype(np.float32)[row]
    of = np.array(conditions * identities)
    zero = np.zeros(len(of), np.float32)
    columns["under_eye"] = rng.random(identities).astype(np.float32)[row]
    columns["yaw"] = zero + 15 * (of == "yaw+15") - np.float32(15) * (of == "yaw-15")
    columns["light"] = zero + np.float32(60) * (of == "light+60")
    columns["flash"] = zero + 1
    columns["expression"] = np.where(of == "smile", "smile", "neutral")
    columns["expression_amount"] = zero + (of == "smile")
    columns["nose_length_mm"] = 50 + 5 * columns["nose_length"]
    return FactorTable(
        files=tuple(f"images/{i:03d}.png" for i in range(len(of))),
        identities=people[row],
        conditions=of,
        splits=np.full(len(of), "train"),
        columns=columns,
    )


def draw(folder, table, *, black=()):
    """Writes pictures of 3 x 3 fields, whose brightness tells of factors."""
    (folder / "images").mkdir(parents=True)
    shown = table.columns
    for number, file in enumerate(table.files):
        values = np.random.default_rng(table.identities[number]).uniform(0.2, 0.8, 9)
        values[0] = 0.9 - 0.7 * shown["melanin"][number]
        values[1] = 0.5 + shown["yaw"][number] / 50
        values[2] = 0.5 + shown["light"][number] / 150
        values[3] = 0.3 + 0.4 * shown["expression_amount"][number]
        values[4] = 0.8 if shown["glasses"][number] == "round" else 0.2
        fields = values.reshape(3, 3).repeat(8, axis=0).repeat(8, axis=1)
        image = np.full((SIDE, SIDE), 0.5)
        image[12:36, 12:36] = fields
        image += np.random.default_rng(number).normal(0, 0.02, image.shape)
        image = np.clip(255 * image, 1, 255) * (number not in black)
        Image.fromarray(image.astype(np.uint8)).save(folder / file)
    write_factor_table(folder / "factors.csv", table)


def named_network(name, toy, *, unit_norm, sha256):
    """A toy network of a name and a hash of its own."""
    made: Any = type(toy.network)(dim=6 if unit_norm else 12)
    made.weights = WeightCard(name, sha256, "unknown", False, "a test")
    preprocess = dataclasses.replace(toy.preprocess, unit_norm=unit_norm)
    return Backbone(made, preprocess)


def rows_of(path, key):
    with open(path, encoding="utf-8", newline="") as opened:
        return {row[key]: row for row in csv.DictReader(opened)}
