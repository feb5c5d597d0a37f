"""Modules with random arrays, made without NNX's own slow initialisation."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from facedirs_jax.backbones.cards import UNTRAINED, WeightCard


def filled(
    build: Any, config: Any, card: WeightCard = UNTRAINED, *, seed: int = 0
) -> Any:
    """A module whose outputs keep their order of magnitude from layer to layer."""
    rng = np.random.default_rng(seed)
    graphdef, state = nnx.split(
        nnx.eval_shape(lambda: build(config, card, rngs=nnx.Rngs(0)))
    )

    def values(path, shape):
        if path[-1] in ("scale", "var", "gamma"):
            return rng.uniform(0.5, 1.5, shape)
        inputs = np.prod(shape[:-1]) if len(shape) > 1 else 100
        return rng.normal(0, (2 / inputs) ** 0.5, shape)

    flat = [
        (path, variable.replace(jnp.asarray(values(path, variable.shape), jnp.float32)))
        for path, variable in nnx.to_flat_state(state)
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(flat))


def arrays_of(module: Any) -> dict[str, np.ndarray]:
    """The arrays of a module by their dotted paths."""
    flat = nnx.to_flat_state(nnx.state(module))
    return {".".join(map(str, path)): np.asarray(v[...]) for path, v in flat}


def dag_arrays(network: Any) -> dict[str, np.ndarray]:
    """The arrays of a VGG16 as vgg_face_dag.pth names and lays them out."""
    found = {}
    for name, array in arrays_of(network).items():
        layer, kind = name.split(".")[0], name.split(".")[-1]
        if kind == "bias":
            found[f"{layer}.bias"] = array
        elif array.ndim == 4:
            found[f"{layer}.weight"] = array.transpose(3, 2, 0, 1)
        elif layer == "fc6":
            side = network.config.image_size // 32
            maps = array.reshape(side, side, -1, array.shape[1]).transpose(3, 2, 0, 1)
            found["fc6.weight"] = maps.reshape(array.shape[1], -1)
        else:
            found[f"{layer}.weight"] = array.T
    found["fc8.weight"], found["fc8.bias"] = np.ones((5, 256), "f4"), np.ones(5, "f4")
    return {name: np.ascontiguousarray(array) for name, array in found.items()}
