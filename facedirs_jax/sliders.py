"""Rows of pictures that a reader moves through with a slider, for pages."""

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from facedirs_jax.decoding import as_uint8

_QUALITY = 90  # of WebP: an 80 px decode takes 2 to 3 kB


class Slider(NamedTuple):
    """Pictures along a direction.

    Attributes:
        title: of the row.
        frames: data URIs of T pictures, from one end to the other; see `data_uri`.
        captions: of the T pictures.
        start: place of the picture shown first.
        note: what the row's numbers are.
    """

    title: str
    frames: Sequence[str]
    captions: Sequence[str]
    start: int = 0
    note: str = ""


def make_slider(
    title: str, pictures: Any, captions: Sequence[str], *, start: int, note: str = ""
) -> Slider:
    """A slider of pictures.

    Args:
        title: of the row.
        pictures: [T, S, S, 3], uint8 or float32 in [0, 1].
        captions: T texts.
        start: place of the picture shown first.
        note: what the row's numbers are.

    Returns:
        The slider.

    Raises:
        ValueError: if there is no picture, or captions or start do not fit.
    """
    if not 0 <= start < len(pictures) == len(captions):
        raise ValueError(
            f"{len(pictures)} pictures, {len(captions)} captions, first shown {start}"
        )
    return Slider(title, [data_uri(p) for p in pictures], captions, start, note)


def data_uri(picture: np.ndarray) -> str:
    """A picture as text that a page can hold.

    Args:
        picture: [S, S, 3], uint8 or float32 in [0, 1].

    Returns:
        A data URI of WebP.
    """
    stored = io.BytesIO()
    Image.fromarray(as_uint8(picture)).save(stored, "WEBP", quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(stored.getvalue()).decode()
