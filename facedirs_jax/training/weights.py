"""Arrays of a network by dotted path, and networks filled with them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

_BRANCH_END = ".increase."  # the last convolution of a bottleneck
_CONSTANTS = {"scale": 1.0, "bias": 0.0, "mean": 0.0, "var": 1.0, "slope": 0.25}


def abstract_network(build: Callable[[], Any]) -> Any:
    """What `build` makes, with shapes in the place of arrays: random ones are slow."""
    return nnx.eval_shape(build)


def arrays_of(network: Any) -> dict[str, Any]:
    """Arrays of a module or of its state, any shape, such as `conv1_1.conv.kernel`."""
    return {
        ".".join(map(str, path)): variable[...]
        for path, variable in nnx.to_flat_state(nnx.state(network))
    }


def shapes_of(network: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the same, of a module that may be abstract."""
    return shapes_of_state(nnx.state(network))


def shapes_of_state(state: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of a module's state, or of a part of it, any shape."""
    return {
        ".".join(map(str, path)): tuple(variable.shape)
        for path, variable in nnx.to_flat_state(state)
    }


def filled(network: Any, arrays: Mapping[str, Any]) -> Any:
    """A network of given arrays.

    Args:
        network: a module, abstract or not; it is left as it is.
        arrays: of any shape, by the paths of `arrays_of`, each once.

    Returns:
        A module of the same structure.

    Raises:
        ValueError: if the names or shapes are not those of the network.
    """
    graphdef, state = nnx.split(network)
    wanted = shapes_of(network)
    given = {name: tuple(array.shape) for name, array in arrays.items()}
    if wanted != given:
        differing = sorted({*wanted.items()} ^ {*given.items()})
        raise ValueError(f"these arrays are not those of the network: {differing}")
    return nnx.merge(graphdef, filled_state(state, arrays))


def filled_state(state: Any, arrays: Mapping[str, Any]) -> Any:
    """A module's state, or a part of it, of given arrays.

    Args:
        state: of variables of any shape, abstract or not; it is left as it is.
        arrays: by the paths of `arrays_of`, of the same shapes; more are left out.

    Returns:
        A state of the same structure.
    """
    leaves = [
        (path, variable.replace(jnp.asarray(arrays[".".join(map(str, path))])))
        for path, variable in nnx.to_flat_state(state)
    ]
    return nnx.from_flat_state(leaves)


def initialise(key: jax.Array, network: Any) -> Any:
    """Fills an abstract network: kernels after He et al. (1502.01852), eq. 10.

    A kernel is normal with variance 2 / fan-in. Normalisations start as the identity,
    but for those at the end of a bottleneck, which start at 0, so that each is its
    shortcut at first (Goyal et al., 1706.02677, section 5.1). Biases start at 0, slopes
    of PReLU at 0.25.

    Args:
        key: of the randomness, consumed.
        network: of `abstract_network`.

    Returns:
        A module of the same structure, float32.

    Raises:
        ValueError: if a variable is neither a kernel nor one of those.
    """
    return filled(network, _initial_arrays(key, shapes_of(network)))


def _initial_arrays(
    key: jax.Array, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, jax.Array]:
    kernels = [name for name in shapes if name.endswith("kernel")]
    sizes = [math.prod(shapes[name]) for name in kernels]
    # One draw for all: a draw of its own for each kernel takes seconds to compile.
    pool = jax.random.normal(key, (sum(sizes),))
    arrays: dict[str, jax.Array] = {}
    start = 0
    for name, size in zip(kernels, sizes, strict=True):
        fan_in = math.prod(shapes[name][:-1])
        values = pool[start : start + size].reshape(shapes[name])
        arrays[name] = values * math.sqrt(2.0 / fan_in)
        start += size
    for name, shape in shapes.items():
        leaf = name.rpartition(".")[2]
        if name in arrays:
            continue
        if leaf not in _CONSTANTS:
            raise ValueError(f"{name}: it is not known what it should start at")
        still = leaf == "scale" and _BRANCH_END in name
        value = 0.0 if still else _CONSTANTS[leaf]
        arrays[name] = jnp.full(shape, value, jnp.float32)
    return arrays
