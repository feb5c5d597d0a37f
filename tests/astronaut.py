"""Portraits for tests, made of the one that scikit-image carries."""

import numpy as np
import skimage.data
from skimage import filters, transform


def portrait(number: int) -> np.ndarray:
    """[240, 240, 3] uint8, a face of its own: bent, tinted, blurred and mirrored."""
    rng = np.random.default_rng(number)
    strength, phase = rng.uniform(2, 5, 4), rng.uniform(0, 2 * np.pi, 4)

    def bend(points: np.ndarray) -> np.ndarray:
        x, y = points.T
        waves = np.sin(np.stack([y / 23, x / 37, x / 23, y / 37]) + phase[:, None])
        return points + (strength[:, None] * waves).reshape(2, 2, -1).sum(axis=1).T

    face = transform.warp(
        skimage.data.astronaut()[:240, 105:345] / 255, bend, mode="edge"
    )
    face = face ** rng.uniform(0.7, 1.4) * rng.uniform(0.8, 1.1, 3)
    face = filters.gaussian(face, rng.uniform(0, 1.5), channel_axis=2)
    face = np.round(255 * np.clip(face, 0, 1)).astype(np.uint8)
    return face[:, ::-1] if number % 2 else face
