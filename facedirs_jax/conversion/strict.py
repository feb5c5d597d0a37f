"""The one strict converter: named numpy arrays -> the variables of an NNX module."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from facedirs_jax.errors import InputError

Module = TypeVar("Module", bound=nnx.Module)
Layout = Callable[[np.ndarray], np.ndarray]


def unchanged(array: np.ndarray) -> np.ndarray:
    """The array as it is, of any shape."""
    return array


class Rule(NamedTuple):
    r"""Where the arrays of one pattern go.

    Attributes:
        source: regular expression that the whole name of an array must match.
        target: dotted path of a variable, such as `blocks.3.conv1.kernel`, in which
            `\1` stands for the first group of `source`.
        layout: function of the array that brings it into the variable's layout.
    """

    source: str
    target: str
    layout: Layout = unchanged


def fill(
    module: Module,
    arrays: Mapping[str, np.ndarray],
    rules: Sequence[Rule],
    *,
    ignored: Sequence[str] = (),
) -> Module:
    """Gives the variables of a module the values of a source network's arrays.

    Args:
        module: a module, or its abstract form by `nnx.eval_shape`; it stays as it is.
        arrays: [...] float32 arrays by their names in the source.
        rules: where each array goes; exactly one rule must match it.
        ignored: regular expressions of the arrays that are left out on purpose, such
            as a classifier's; no rule may match those.

    Returns:
        A module of the same structure, each of its variables filled by one array.

    Raises:
        InputError: listing every array that no rule or several match, whose target
            does not exist or is taken, or that has another shape, dtype or a value
            that is not finite; and every variable that no array is meant for.
    """
    graphdef, state = nnx.split(module)
    variables = {".".join(map(str, p)): (p, v) for p, v in nnx.to_flat_state(state)}
    sources: dict[str, str] = {}  # the array meant for each target
    filled, problems = {}, []
    for name, array in arrays.items():
        try:
            target, layout = _claim(name, rules, ignored)
            if not target:
                continue
            if target not in variables:
                raise InputError(f"the module has no {target}")
            if target in sources:
                raise InputError(f"{sources[target]} fills {target} already")
            sources[target] = name
            path, variable = variables[target]
            value = _laid_out(array, layout, variable.shape)
            filled[path] = variable.replace(jnp.array(value))
        except InputError as problem:
            problems.append(f"{name}: {problem}")
    problems += [f"{t}: no array fills it" for t in variables if t not in sources]
    if problems:
        raise InputError(
            f"the arrays are not those of this network, or the rules are wrong; "
            f"{len(problems)} problems:\n  " + "\n  ".join(problems)
        )
    return nnx.merge(graphdef, nnx.from_flat_state(filled))


# A network may have more rules than the cache of `re` holds.
_pattern = functools.lru_cache(maxsize=None)(re.compile)


def _claim(
    name: str, rules: Sequence[Rule], ignored: Sequence[str]
) -> tuple[str, Layout]:
    """Target and layout by the only rule for this name; no target if it is ignored."""
    matches = [(_pattern(rule.source).fullmatch(name), rule) for rule in rules]
    claims = [
        (match.expand(rule.target), rule.layout) for match, rule in matches if match
    ]
    claims += [
        ("", unchanged) for pattern in ignored if _pattern(pattern).fullmatch(name)
    ]
    if len(claims) != 1:
        raise InputError(f"{len(claims)} rules match it or ignore it; it needs one")
    return claims[0]


def _laid_out(array: np.ndarray, layout: Layout, shape: tuple[int, ...]) -> np.ndarray:
    try:
        value = layout(array)
    except (ValueError, IndexError) as error:  # what numpy raises for a wrong rank
        raise InputError(
            f"shape {array.shape} does not suit its rule: {error}"
        ) from error
    if value.shape != shape or value.dtype != np.float32:
        raise InputError(f"expected float32 {shape}, got {value.dtype} {value.shape}")
    if not np.isfinite(value).all():
        raise InputError("it has values that are not finite")
    return value
