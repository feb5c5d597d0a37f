"""Crops of made-up people for training tests: a coarse pattern each, and noise."""

import numpy as np


def crops_of(people: int, photos: int, side: int, *, seed: int = 0) -> np.ndarray:
    """[people * photos, side, side, 3] uint8; the photos of a person side by side."""
    rng = np.random.default_rng(seed)
    cell = side // 4
    coarse = rng.uniform(40, 215, (people, 1, 4, 4, 3))
    noisy = coarse + rng.normal(0, 12, (people, photos, 4, 4, 3))
    crops = noisy.reshape(-1, 4, 4, 3).repeat(cell, axis=1).repeat(cell, axis=2)
    return np.clip(crops + rng.normal(0, 6, crops.shape), 0, 255).astype(np.uint8)


def names_of(people: int, photos: int) -> np.ndarray:
    """[people * photos] str, whose each crop is."""
    return np.repeat([f"person {number:03d}" for number in range(people)], photos)
