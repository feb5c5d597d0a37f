"""Golden pairs: fixed inputs, and what a network gave for them when it was stored.

Hashes show that a checkpoint's files are those that were written; a golden pair shows
that the code of today still makes of them the function of that day: a transposed
kernel, swapped channels or another mean change what comes out.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.blending import unit_range
from facedirs_jax.errors import InputError
from facedirs_jax.templates import templates_of

# Of a pair's outputs relative to their norm, by the network's dtype. Devices and
# versions differ by about 1e-6 under "highest" precision, and by 1e-2 in bfloat16.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}

_templates = jax.jit(templates_of, static_argnums=1)


def golden_images(size: int) -> np.ndarray:
    """Waves, other ones in each picture, channel and axis: [2, S, S, 3] uint8 RGB."""
    rows, columns = np.mgrid[:size, :size] / size
    waves = [
        np.sin(2 * np.pi * ((1 + n % 3) * rows - (0.5 + n) * columns) + n)
        for n in range(6)
    ]
    pictures = np.stack(waves).reshape(2, 3, size, size).transpose(0, 2, 3, 1)
    return np.round(127.5 + 115.0 * pictures).astype(np.uint8)


def golden_templates(dim: int) -> np.ndarray:
    """Two fixed points of the unit sphere: [2, D] float32."""
    angles = np.arange(1, dim + 1) * np.array([[1.0], [2.5]])
    waves = np.cos(angles**1.5)
    return (waves / np.linalg.norm(waves, axis=1, keepdims=True)).astype(np.float32)


def golden_output(
    network: Any, preprocess: Preprocess | None, inputs: np.ndarray
) -> np.ndarray:
    """What a network gives for a golden input, under "highest" precision.

    Args:
        network: a backbone, or a decoder where there is no preprocess.
        preprocess: the backbone's.
        inputs: [2, S, S, 3] uint8 RGB crops, or [2, D] float32 templates.

    Returns:
        [2, D] float32 templates, or [2, S, S, 3] float32 pictures.

    Raises:
        ValueError: if the inputs are not what the network takes.
    """
    with jax.default_matmul_precision("highest"):
        if preprocess is None:
            return np.asarray(jax.jit(_applied)(network, jnp.asarray(inputs)))
        images = unit_range(jnp.asarray(inputs))
        return np.asarray(_templates(network, preprocess, images))


def _applied(network: Any, templates: jax.Array) -> jax.Array:
    return network(templates)


def make_golden(network: Any, preprocess: Preprocess | None) -> dict[str, np.ndarray]:
    """A golden pair of a network.

    Args:
        network: a backbone, or a decoder where there is no preprocess.
        preprocess: the backbone's.

    Returns:
        `inputs` and `outputs`: [2, ...] each, as `golden_output` takes and gives them.

    Raises:
        InputError: if the outputs are not finite, or the same for both inputs, as those
            of broken weights are.
    """
    if preprocess is None:
        inputs = golden_templates(network.config.template_dim)
    else:
        inputs = golden_images(preprocess.size)
    outputs = golden_output(network, preprocess, inputs)
    if not np.isfinite(outputs).all() or np.array_equal(*outputs):
        raise InputError(
            "the network gives values that are not finite, or the same for two inputs "
            "that differ; its weights are broken or were never trained"
        )
    return {"inputs": inputs, "outputs": outputs}


def golden_difference(
    network: Any, preprocess: Preprocess | None, golden: dict[str, np.ndarray]
) -> float:
    """How far a network is from a golden pair, relative to the norm of its outputs.

    Args:
        network: a backbone, or a decoder where there is no preprocess.
        preprocess: the backbone's.
        golden: `inputs` and `outputs`: [2, ...] each, as by `make_golden`.

    Returns:
        The larger of the two pictures' or templates' relative L2 differences; infinite
        where the network does not take the inputs or gives another shape.
    """
    try:
        outputs = golden_output(network, preprocess, golden["inputs"])
    except ValueError:  # of another size
        return float("inf")
    expected = golden["outputs"]
    if outputs.shape != expected.shape:
        return float("inf")
    gaps, norms = (
        np.linalg.norm(array.reshape(len(array), -1), axis=1)
        for array in (outputs - expected, expected)
    )
    return float(np.nan_to_num(gaps / norms, nan=np.inf).max())
