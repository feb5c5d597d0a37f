"""From a recipe and crops to all that the loop takes: state, step, batches, length."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import grain
import jax
import numpy as np
import optax

from facedirs_jax.errors import InputError

from . import backbone_step, batches, optimisers
from .objective import Objective
from .recipes import NETWORKS, BackboneRecipe


class BackboneTraining(NamedTuple):
    """What `loop.train` takes, for a backbone.

    Attributes:
        task: what is trained.
        state: to begin with, arrays of any shape.
        step: the pure function of one step.
        batches: step -> `images` [B, S, S, 3] uint8 and `labels` [B] int32.
        steps: in all.
        steps_per_epoch: in which every picture is seen once.
        network_of: state -> the library's network with its weights.
    """

    task: backbone_step.BackboneTask
    state: backbone_step.BackboneState
    step: Callable[..., Any]
    batches: grain.MapDataset
    steps: int
    steps_per_epoch: int
    network_of: Callable[[Any], Any]


def backbone_training(
    recipe: BackboneRecipe,
    crops: np.ndarray,
    rows: np.ndarray,
    identities: np.ndarray,
    *,
    seed: int = 0,
    precision: str = "float32",
) -> BackboneTraining:
    """Assembles the training of a network; a function of its arguments alone.

    Args:
        recipe: all settings.
        crops: [M, S, S, 3] uint8 RGB, cropped as the recipe's preprocess says; may be
            a memory map.
        rows: [N] int, which of them to train on.
        identities: [N] str or int, whose each is.
        seed: of weights and batches, 0 to 2**32 - 1.
        precision: "float32" or "bfloat16", of the computation.

    Returns:
        BackboneTraining.

    Raises:
        InputError: if there are fewer than 2 people, or fewer pictures than a batch
            takes, be it of all or of the first people.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed is {seed}; it must lie within 0 and 2**32 - 1")
    names, numbers = np.unique(identities, return_inverse=True)
    if recipe.batch > len(rows):
        raise InputError(
            f"a batch of {recipe.batch} is larger than the data: {len(rows)} pictures "
            "with a face train; lower --batch, or give more pictures"
        )
    steps_per_epoch = max(1, round(len(rows) / recipe.batch))
    steps = max(1, round(recipe.epochs * steps_per_epoch))
    objective = recipe.objective(people=len(names), steps=steps)
    task = backbone_step.new_task(
        NETWORKS[recipe.network],
        recipe.config,
        recipe.preprocess(),
        objective,
        augmentation=recipe.augmentation,
        precision=precision,
    )
    schedule = _schedule(recipe, objective, steps)
    optimiser = optimisers.optimiser(recipe.optimiser, schedule)
    key = jax.random.fold_in(jax.random.key(seed), _WEIGHTS)
    labels = np.full(len(crops), -1, np.int32)
    labels[rows] = numbers
    order = _order(recipe, objective, numbers, steps, seed)
    return BackboneTraining(
        task,
        jax.jit(lambda key: backbone_step.initial_state(key, task, optimiser))(key),
        backbone_step.make_step(task, optimiser, schedule),
        batches.gathered(
            order.map(lambda chosen: rows[chosen]), {"images": crops, "labels": labels}
        ),
        steps,
        steps_per_epoch,
        lambda state: backbone_step.inference_network(task, state),
    )


_WEIGHTS = 2**31 - 1  # a key that no step has


def _order(
    recipe: BackboneRecipe,
    objective: Objective,
    numbers: np.ndarray,
    steps: int,
    seed: int,
) -> grain.MapDataset:
    """Step -> [B] places in the training pictures."""
    shuffled = batches.epoch_rows(len(numbers), batch=recipe.batch, seed=seed)
    if recipe.first_people is not None:
        first = np.flatnonzero(numbers < recipe.first_people)
        if len(first) < recipe.batch:
            raise InputError(
                f"the first {recipe.first_people} people have {len(first)} pictures, "
                f"fewer than a batch of {recipe.batch}; raise --first_people, or lower "
                "--batch"
            )
        begun = batches.epoch_rows(len(first), batch=recipe.batch, seed=seed)
        shuffled = batches.one_after_another(
            begun.map(lambda chosen: first[chosen]),
            round(recipe.first_share * steps),
            shuffled,
        )
    if objective.loss != "softmax_triplet":
        return shuffled
    photos = recipe.triplet_photos
    balanced = batches.balanced_rows(
        numbers, people=recipe.batch // photos, photos=photos, seed=seed
    )
    return batches.one_after_another(shuffled, objective.triplet_from, balanced)


def _schedule(
    recipe: BackboneRecipe, objective: Objective, steps: int
) -> optax.Schedule:
    config, change = recipe.optimiser, objective.triplet_from
    if objective.loss != "softmax_triplet" or not 0 < change < steps:
        return optimisers.warmup_cosine(config, steps=steps)
    lower = recipe.triplet_rate * config.learning_rate
    later = dataclasses.replace(config, learning_rate=lower)
    return optimisers.one_after_another(
        optimisers.warmup_cosine(config, steps=change),
        change,
        optimisers.warmup_cosine(later, steps=steps - change),
    )
