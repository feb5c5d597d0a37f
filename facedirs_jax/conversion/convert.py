"""A weight file of a user's -> the network of the one recipe that fits it."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from facedirs_jax import files
from facedirs_jax.backbones.cards import UNTRAINED, WeightCard
from facedirs_jax.backbones.recipe import Recipe
from facedirs_jax.conversion import strict
from facedirs_jax.conversion.arrays import Path
from facedirs_jax.conversion.containers import find_container, read_arrays
from facedirs_jax.decoders.recipe import DecoderRecipe
from facedirs_jax.errors import InputError

AnyRecipe = Recipe | DecoderRecipe

_BY_ORDER = "keras_by_order"
_ZERO = np.zeros((), np.float32)


class Converted(NamedTuple):
    """What became of a weight file.

    Attributes:
        network: the recipe's module, filled, with the card of its weights.
        recipe: that fitted.
        ignored: names of the arrays that it leaves out on purpose.
    """

    network: Any
    recipe: AnyRecipe
    ignored: tuple[str, ...]


def convert(
    path: Path, recipes: Sequence[AnyRecipe], *, name: str | None = None
) -> Converted:
    """Converts a weight file by the one recipe that fits it.

    Args:
        path: the file.
        recipes: to choose from.
        name: of a recipe, or what the names of several start with; by default all.

    Returns:
        Converted.

    Raises:
        InputError: if the file cannot be read, no recipe fits it (with all that is
            wrong under the nearest), or several do (with what tells them apart).
    """
    asked = _named(recipes, name)
    source = _Source(path)
    fitting = [recipe for recipe in asked if source.suits(recipe)]
    if not fitting:
        raise InputError(
            f"{source.name}: it is a {source.container} file, and no recipe of "
            f"{name or 'any network'} reads those; see --list"
        )
    recipe = fitting[0] if len(fitting) == 1 else _detect(source, fitting)
    card = WeightCard(
        name=recipe.name,
        sha256=files.sha256_file(path),
        licence=recipe.licence,
        commercial_use=recipe.commercial_use,
        source=recipe.source,
    )
    arrays = source.arrays(recipe)
    network = _filled(source, recipe, arrays, card)
    ignored = [
        array
        for array in arrays
        if any(re.fullmatch(pattern, array) for pattern in recipe.ignored)
    ]
    return Converted(network, recipe, tuple(ignored))


class _Source:
    """A weight file, whose arrays are read when they are asked for.

    They are kept as they were read last: those of a big file, read both by name and by
    number, would not fit into memory twice.
    """

    def __init__(self, path: Path):
        self.path = path
        self.name = os.fsdecode(path)
        self.container = find_container(path)
        self._by_order, self._arrays = False, None

    def suits(self, recipe: AnyRecipe) -> bool:
        """Whether the recipe is for files of this kind."""
        known = recipe.containers
        return self.container in known or (
            self.container == "keras" and _BY_ORDER in known
        )

    def arrays(self, recipe: AnyRecipe) -> Mapping[str, np.ndarray]:
        """[...] float32 arrays by the names that the recipe knows them by."""
        by_order = self.container == "keras" and recipe.containers[0] == _BY_ORDER
        if self._arrays is None or by_order != self._by_order:
            self._arrays = None
            _, self._arrays = read_arrays(self.path, keras_by_order=by_order)
            self._by_order = by_order
        return self._arrays


def _named(recipes: Sequence[AnyRecipe], name: str | None) -> Sequence[AnyRecipe]:
    if name is None:
        return recipes
    exact = [recipe for recipe in recipes if recipe.name == name]
    found = exact or [recipe for recipe in recipes if recipe.name.startswith(name)]
    if not found:
        names = [recipe.name for recipe in recipes]
        close = difflib.get_close_matches(name, names, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise InputError(f"no network {name!r}; see --list{hint}")
    return found


def _detect(source: _Source, recipes: Sequence[AnyRecipe]) -> AnyRecipe:
    """The only recipe that suits the names and shapes of a file's arrays."""
    # Of the arrays only names and shapes; by name last, so that most files, whose
    # layers go by name, are read once.
    empty = {}
    for recipe in sorted(recipes, key=lambda r: r.containers[0] != _BY_ORDER):
        empty[recipe.name] = {
            # Takes no memory, in any layout.
            name: np.broadcast_to(_ZERO, array.shape)
            for name, array in source.arrays(recipe).items()
        }
    strangers = [_strangers(recipe, empty[recipe.name]) for recipe in recipes]
    nearest = [
        (_misfits(source, recipe, empty[recipe.name]), recipe)
        for recipe, count in zip(recipes, strangers, strict=True)
        if count == min(strangers)
    ]
    fitting = [recipe for count, recipe in nearest if not count]
    if not fitting:  # what is wrong is told when it is filled
        return min(nearest, key=lambda found: found[0])[1]
    if len(fitting) > 1:
        lines = [f"{recipe.name}: {_essence(recipe)}" for recipe in fitting]
        raise InputError(
            f"{source.name}: its arrays suit several networks, and do not say which it "
            "is, or what it is to be fed and to give; choose one with --network:\n  "
            + "\n  ".join(lines)
        )
    return fitting[0]


def _strangers(recipe: AnyRecipe, arrays: Mapping[str, np.ndarray]) -> int:
    """How many arrays not exactly one rule is for, told by their names alone."""
    patterns = [re.compile(rule.source) for rule in recipe.rules]
    patterns += [re.compile(pattern) for pattern in recipe.ignored]
    return sum(
        sum(pattern.fullmatch(name) is not None for pattern in patterns) != 1
        for name in arrays
    )


def _misfits(
    source: _Source, recipe: AnyRecipe, arrays: Mapping[str, np.ndarray]
) -> int:
    """How many things are wrong with arrays of these names and shapes."""
    try:
        nnx.eval_shape(lambda: _filled(source, recipe, arrays, UNTRAINED))
    except InputError as error:
        return str(error).count("\n  ")
    return 0


def _filled(
    source: _Source,
    recipe: AnyRecipe,
    arrays: Mapping[str, np.ndarray],
    card: WeightCard,
) -> nnx.Module:
    abstract = nnx.eval_shape(
        lambda: recipe.build(recipe.config, card, rngs=nnx.Rngs(0))
    )
    try:
        return strict.fill(abstract, arrays, recipe.rules, ignored=recipe.ignored)
    except InputError as error:
        raise InputError(
            f"{source.name}, taken for {recipe.name}: {error}\nfetch it again from "
            f"{recipe.source}, or name another network with --network (see --list)"
        ) from error


def _essence(recipe: AnyRecipe) -> str:
    """What tells a recipe apart from others of the same arrays."""
    if isinstance(recipe, DecoderRecipe):
        return f"{recipe.templates}; {recipe.source}"
    fed = recipe.preprocess
    return (
        f"{recipe.embedding}; fed {fed.colour_order}, {fed.alignment} {fed.size} px, "
        f"mean {fed.mean}, scale {fed.scale}; {recipe.source}"
    )
