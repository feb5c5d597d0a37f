"""Subjects whose templates hold pose, light and expression, each along its own axis."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from facedirs_jax.backbones import Backbone
from facedirs_jax.decoding import as_uint8, decode
from facedirs_jax.labelled_pictures import LabelledPictures
from facedirs_jax.paper.attributes import EXPRESSION, LIGHT, POSE, divide_people
from facedirs_jax.paper.subjects import Subject

DIM = 12  # axis 0 pose, 1 light, 2 to 6 expressions, then the person's own
PEOPLE, PROBES = 12, 6
_OWN = 2 + len(EXPRESSION.values)


class FieldDecoder(nnx.Module):
    """Shows each number of a template as the brightness of one field."""

    def __init__(self, shown):
        self.shown = nnx.Param(jnp.asarray(shown, jnp.float32))

    def __call__(self, templates: jax.Array) -> jax.Array:
        fields = 0.5 + templates * self.shown[...][None] / 8
        grey = fields.reshape(-1, 3, 4).repeat(8, axis=1).repeat(6, axis=2)
        return jnp.clip(jnp.stack([grey] * 3, axis=-1), 0, 1)


def planted(condition):
    """[DIM] float64, what a condition adds to a template."""
    found = np.zeros(DIM)
    if condition.startswith("yaw"):
        found[0] = float(condition[3:]) / 30
    elif condition.startswith("light"):
        found[1] = float(condition[5:]) / 90
    elif condition != "frontal":
        found[2 + EXPRESSION.values.index(condition)] = 1
    return found


CONDITIONS = (
    "frontal",
    *(f"yaw{float(v):+g}" for v in POSE.values),
    *(f"light{float(v):+g}" for v in LIGHT.values),
    *EXPRESSION.values,
)


def planted_pictures():
    """Pictures of `PEOPLE` under every condition; there are no files."""
    of = np.array(CONDITIONS * PEOPLE)
    columns = {"condition": of}
    for name, start in (("yaw", "yaw"), ("light", "light")):
        told = [float(c[len(start) :]) if c.startswith(start) else 0.0 for c in of]
        columns[name] = np.array(told)
    people = np.repeat([f"p{n:02d}" for n in range(PEOPLE)], len(CONDITIONS))
    ids = tuple(f"{number}.png" for number in range(len(of)))
    return LabelledPictures(tuple(map(pathlib.Path, ids)), ids, people, columns)


def persons(number, seed):
    """[number, DIM] templates of frontal faces."""
    found = np.zeros((number, DIM))
    found[:, _OWN:] = np.random.default_rng(seed).normal(size=(number, DIM - _OWN))
    return found


def planted_subject(toy, *, name="net", unit_norm=False, hidden=(), noise=0.0):
    """A subject; its decoder does not show the axes that are hidden."""
    pictures = planted_pictures()
    added = np.array([planted(c) for c in pictures.columns["condition"]])
    templates = persons(PEOPLE, 0).repeat(len(CONDITIONS), axis=0) + added
    templates += noise * np.random.default_rng(1).normal(size=templates.shape)
    probes = persons(PROBES, 2)
    if unit_norm:
        templates, probes = (
            rows / np.linalg.norm(rows, axis=1, keepdims=True)
            for rows in (templates, probes)
        )
    templates, probes = templates.astype(np.float32), probes.astype(np.float32)
    shows_all, shown = FieldDecoder(np.ones(DIM)), np.ones(DIM)
    shown[list(hidden)] = 0
    preprocess = dataclasses.replace(toy.preprocess, unit_norm=unit_norm)
    return Subject(
        *(name, Backbone(toy.network, preprocess), FieldDecoder(shown), pictures),
        *(as_uint8(decode(shows_all, templates)), templates),
        divide_people(pictures.identities),
        *(as_uint8(decode(shows_all, probes)), probes),
    )
