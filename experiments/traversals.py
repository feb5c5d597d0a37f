"""Flags that say how directions are shown, and the strips that show them."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from facedirs_jax import figures, files
from facedirs_jax.backbones import Backbone
from facedirs_jax.decoding import load_decoder_of
from facedirs_jax.discovery import Discovery
from facedirs_jax.errors import InputError
from facedirs_jax.faces import Faces
from facedirs_jax.grid import Grid
from facedirs_jax.strips import Probes, Strips, make_strips, with_strips
from facedirs_jax.tables import csv_text
from facedirs_jax.traversal import steps_of

FILE = "traversals.csv"

_DECODER = flags.DEFINE_string(
    "decoder",
    None,
    "Checkpoint of a decoder of the network's templates, as train_decoder writes one: "
    "shows what the first three directions of every region look like.",
)
_ALPHA_END = flags.DEFINE_float(
    "alpha_end", 3.0, "Moves faces by so many standard deviations at most, above 0."
)
_ALPHA_STEPS = flags.DEFINE_integer(
    "alpha_steps", 7, "Decodes of a strip, from end to end; odd.", 3
)
_PROBES = flags.DEFINE_integer(
    "probes", 2, "How many faces to move, the first of the face donors.", 1
)


@dataclasses.dataclass(frozen=True)
class Showing:
    """How directions are shown; see the flags of the same names.

    Raises:
        InputError: if a field is out of its range.
    """

    decoder: str
    alpha_end: float = 3.0
    alpha_steps: int = 7
    probes: int = 2

    def __post_init__(self):
        if not (self.alpha_end > 0 and math.isfinite(self.alpha_end)):
            raise InputError(f"--alpha_end must be above 0, got {self.alpha_end}")
        if self.alpha_steps < 3 or self.alpha_steps % 2 == 0:
            raise InputError(
                f"--alpha_steps must be odd, 3 or more, got {self.alpha_steps}: the "
                "face itself stands in the middle"
            )
        if self.probes < 1:
            raise InputError(f"--probes must be 1 or more, got {self.probes}")


class Shower(NamedTuple):
    """A decoder, and how it is to show directions.

    Attributes:
        showing: what was asked for.
        decoder: the network, [B, D] float32 templates -> [B, S, S, 3] pictures.
        about: what is known of it: `decoder`, `decoder_sha256`, `inverts`, `licence`.
    """

    showing: Showing
    decoder: Any
    about: dict[str, str]

    @property
    def settings(self) -> dict[str, Any]:
        """All that the strips depend on, besides the directions."""
        asked = dataclasses.asdict(self.showing)
        del asked["decoder"]  # its folder may move
        return asked | {"decoder_sha256": self.about["decoder_sha256"]}


def showing_from_flags() -> Showing | None:
    """What the flags say, once they are parsed; None without --decoder.

    Raises:
        InputError: if they are out of range, or there without --decoder.
    """
    if _DECODER.value is None:
        others = (_ALPHA_END, _ALPHA_STEPS, _PROBES)
        idle = [f"--{flag.name}" for flag in others if flag.present]
        if idle:
            raise InputError(f"{', '.join(idle)}: nothing is shown without --decoder")
        return None
    return Showing(_DECODER.value, _ALPHA_END.value, _ALPHA_STEPS.value, _PROBES.value)


def load_shower(showing: Showing | None, backbone: Backbone) -> Shower | None:
    """Loads the decoder, and makes sure that it is one of the network's templates.

    Args:
        showing: what was asked for; None for nothing.
        backbone: the network of [B, S, S, 3] input, and its preprocessing.

    Returns:
        Shower; None if nothing was asked for.

    Raises:
        InputError: if it is no sound checkpoint of a decoder, takes templates of
            another dimension, or says that it inverts other weights.
    """
    if showing is None:
        return None
    return Shower(showing, *load_decoder_of(showing.decoder, backbone))


def show(
    shower: Shower,
    backbone: Backbone,
    discovery: Discovery,
    faces: Faces,
    grid: Grid,
    own: np.ndarray,
    masks: np.ndarray,
) -> tuple[Discovery, Strips]:
    """Moves the first face donors along the directions of a region.

    Args:
        shower: decoder and settings.
        backbone: whose templates these are.
        discovery: [K, D] directions of the region and so on.
        faces: [N, S, S, 3] crops.
        grid: the donors.
        own: [F, D] float32, templates of the face donors.
        masks: [N, S, S] float32 in [0, 1] of the region.

    Returns:
        The discovery with the strips' numbers in its record, and the strips.
    """
    asked = shower.showing
    rows = grid.face_donors[: asked.probes]
    strips = make_strips(
        *(shower.decoder, backbone, discovery.directions),
        Probes(rows, faces.crops[rows], own[: asked.probes]),
        masks[rows],
        steps_of(-asked.alpha_end, asked.alpha_end, asked.alpha_steps),
    )
    directions = with_strips(discovery.directions, strips, shower.about)
    return discovery._replace(directions=directions), strips


def write_strips(out: pathlib.Path, strips: Mapping[str, Strips]) -> list[pathlib.Path]:
    """Writes the table and the figures of strips, by region; gives the figures' paths.

    Nothing is written where there are none.
    """
    if not strips:
        return []
    rows = [{"region": n, **row} for n, found in strips.items() for row in found.rows]
    files.write_text(out / FILE, csv_text(rows))
    drawn = {f"{n}_strips": figures.draw_strips(n, s) for n, s in strips.items()}
    return figures.save_figures(out / "figures", drawn)
