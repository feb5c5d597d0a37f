"""What decoders make of people they were not trained on: numbers, and sheets to see."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facedirs_jax import files
from facedirs_jax.backbones import Backbone
from facedirs_jax.blending import unit_range
from facedirs_jax.decoding import as_uint8, decode, embed_again, resized
from facedirs_jax.evaluation.decoding import (
    Originals,
    Pictures,
    likeness_of_each,
    nearest_rows,
)
from facedirs_jax.templates import BATCH

_GAP, _LINE = 4, 15  # px
_PAPER, _INK = (255, 255, 255), (40, 40, 40)
_CAPTION = "Held-out faces, and what was decoded from their templates below each."
_LEAST = 96  # px, side of a picture on the sheet

_resize_batch = jax.jit(
    lambda images, side: resized(unit_range(images), side), static_argnums=1
)


class Judge(NamedTuple):
    """What decodes are compared by.

    Attributes:
        backbone: whose templates are decoded, and which re-embeds.
        centre: [D] float32, mean template of training.
        side: of the decodes, px.
    """

    backbone: Backbone
    centre: np.ndarray
    side: int


def shrunk(crops: np.ndarray, side: int) -> np.ndarray:
    """Crops at the size of decodes.

    Args:
        crops: [N, S, S, 3] uint8 RGB.
        side: px.

    Returns:
        [N, side, side, 3] float32 in [0, 1].
    """
    padding = -len(crops) % BATCH
    padded = np.concatenate([crops, crops[:1].repeat(padding, axis=0)])
    found = [
        np.asarray(_resize_batch(padded[start : start + BATCH], side))
        for start in range(0, len(padded), BATCH)
    ]
    return np.concatenate(found)[: len(crops)]


def judged(judge: Judge, images: np.ndarray) -> Pictures:
    """Pictures [N, side, side, 3] float32 with what the network gives for them."""
    return Pictures(images, embed_again(judge.backbone, images))


def baselines(
    judge: Judge,
    templates: np.ndarray,
    crops: np.ndarray,
    rows: np.ndarray,
    training_templates: np.ndarray,
) -> dict[str, Pictures]:
    """Pictures that know less than a decode: what it must beat.

    Args:
        judge: what they will be compared by.
        templates: [N, D] float32, of the faces that they stand for.
        crops: [M, S, S, 3] uint8 RGB; may be a memory map.
        rows: [T] int, those that were trained on.
        training_templates: [T, D] float32, theirs.

    Returns:
        "mean face", the mean of all training crops, and "nearest face", for each
        template the training face whose template is nearest; N pictures each.
    """
    total = np.zeros((judge.side, judge.side, 3))
    for start in range(0, len(rows), 16 * BATCH):
        some = np.asarray(crops[rows[start : start + 16 * BATCH]])
        total += shrunk(some, judge.side).sum(axis=0, dtype=np.float64)
    mean = judged(judge, (total / len(rows)).astype(np.float32)[None])
    repeated = (array.repeat(len(templates), axis=0) for array in mean)
    nearest = np.asarray(nearest_rows(templates, training_templates))
    chosen, again = np.unique(nearest, return_inverse=True)
    found = judged(judge, shrunk(np.asarray(crops[rows[chosen]]), judge.side))
    return {
        "mean face": Pictures(*repeated),
        "nearest face": Pictures(*(array[again] for array in found)),
    }


def evaluation(
    decoder_of: Callable[[Any], Any],
    judge: Judge,
    originals: Originals,
    *,
    sheets: pathlib.Path,
    shown: int = 8,
) -> Callable[[Any], dict[str, float]]:
    """What `loop.train` calls after each epoch.

    Args:
        decoder_of: training state -> decoder.
        judge: what decodes are compared by.
        originals: [N, S, S, 3] faces of people that are held out, at the judge's side.
        sheets: folder that gets a sheet of faces and decodes each time.
        shown: people on a sheet.

    Returns:
        State -> means of the numbers of `evaluation.decoding.Likeness`.
    """
    sheets.mkdir(mode=0o700, exist_ok=True)
    rows = one_face_each(originals.identities, people=shown)

    def evaluate(state: Any) -> dict[str, float]:
        images = decode(decoder_of(state), originals.templates)
        path = sheets / f"step_{int(state.step):07d}.png"
        write_sheet(path, originals.images[rows], images[rows])
        pictures = judged(judge, images)
        measured = likeness_of_each(originals, pictures, centre=judge.centre)
        means = {n: v[~np.isnan(v)] for n, v in measured.items()}
        return {name: float(v.mean()) for name, v in means.items() if len(v)}

    return evaluate


def one_face_each(identities: np.ndarray, *, people: int) -> np.ndarray:
    """The first face of each of some people, for a sheet.

    Args:
        identities: [N] str or int, whose each is.
        people: how many at most, the first in their order.

    Returns:
        [P] int, rows.
    """
    _, first = np.unique(identities, return_index=True)
    return np.sort(first)[:people]


def write_sheet(path: pathlib.Path, images: np.ndarray, decodes: np.ndarray) -> None:
    """Draws faces with their decodes below, as `draw_pairs` does.

    Args:
        path: .png to write.
        images: [N, S, S, 3] float32 RGB in [0, 1].
        decodes: [N, S, S, 3] float32 RGB in [0, 1].
    """
    sheet = draw_pairs(images, decodes)
    with files.replaced(path) as temporary:
        sheet.save(temporary, "PNG")


def draw_pairs(images: np.ndarray, decodes: np.ndarray) -> Image.Image:
    """Draws faces in rows of eight, what was decoded of each below it.

    Args:
        images: [N, S, S, 3] float32 RGB in [0, 1].
        decodes: [N, S, S, 3] float32 RGB in [0, 1].

    Returns:
        The sheet, RGB; pictures are enlarged by a whole factor.
    """
    side = images.shape[1] * -(-_LEAST // images.shape[1])
    step, columns = side + _GAP, min(len(images), 8)
    rows = -(-len(images) // columns)
    font = ImageFont.load_default(11)
    width = max(columns * step + _GAP, int(font.getlength(_CAPTION)) + 2 * _GAP)
    sheet = Image.new("RGB", (width, _LINE + rows * (2 * step + _GAP) + _GAP), _PAPER)
    ImageDraw.Draw(sheet).text((_GAP, 1), _CAPTION, _INK, font)
    for number, pair in enumerate(zip(images, decodes, strict=True)):
        row, column = divmod(number, columns)
        for below, picture in enumerate(pair):
            large = Image.fromarray(as_uint8(picture)).resize(
                (side, side), Image.Resampling.NEAREST
            )
            y = _LINE + _GAP + row * (2 * step + _GAP) + below * step
            sheet.paste(large, (_GAP + column * step, y))
    return sheet
