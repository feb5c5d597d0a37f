"""From a recipe, a backbone and crops to all that the loop takes to train a decoder."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import grain
import jax
import numpy as np
from flax import nnx

from facedirs_jax.backbones import Backbone
from facedirs_jax.decoders.deep_face_decoder import DeepFaceDecoder
from facedirs_jax.errors import InputError

from . import batches, decoder_step, optimisers, weights
from .decoder_recipes import DecoderRecipe

_WEIGHTS = 2**31 - 1  # a key that no step has


class DecoderTraining(NamedTuple):
    """What `loop.train` takes, for a decoder.

    Attributes:
        state: to begin with, arrays of any shape.
        step: the pure function of one step.
        batches: step -> `images` [B, S, S, 3] uint8 and `templates` [B, K, D] float32.
        steps: in all.
        steps_per_epoch: in which every picture is seen once.
        centre: [D] float32, mean template of training.
        decoder_of: state -> the library's decoder with its weights.
    """

    state: decoder_step.DecoderState
    step: Callable[..., Any]
    batches: grain.MapDataset
    steps: int
    steps_per_epoch: int
    centre: np.ndarray
    decoder_of: Callable[[Any], Any]


def decoder_training(
    recipe: DecoderRecipe,
    backbone: Backbone,
    crops: np.ndarray,
    rows: np.ndarray,
    templates: np.ndarray,
    *,
    perceptor: Backbone | None = None,
    seed: int = 0,
    precision: str = "float32",
) -> DecoderTraining:
    """Assembles the training of a decoder; a function of its arguments alone.

    Args:
        recipe: all settings.
        backbone: whose templates are decoded.
        crops: [M, S, S, 3] uint8 RGB, cropped as the backbone's preprocess says; may be
            a memory map.
        rows: [N] int, which of them to train on.
        templates: [N, K, D] float32 of those, as by `decoder_faces.embed_crops`.
        perceptor: network whose feature maps the decodes should share, with crops of
            the same kind; None for the backbone itself.
        seed: of weights and batches, 0 to 2**32 - 1.
        precision: "float32" or "bfloat16", of the decoder's computation.

    Returns:
        DecoderTraining.

    Raises:
        InputError: if there are fewer pictures than a batch takes, their templates are
            all the same, or the perceptor takes crops of another kind.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed is {seed}; it must lie within 0 and 2**32 - 1")
    if recipe.batch > len(rows):
        raise InputError(
            f"a batch of {recipe.batch} is larger than the data: {len(rows)} pictures "
            "with a face train; lower --batch, or give more pictures"
        )
    steps_per_epoch = max(1, round(len(rows) / recipe.batch))
    steps = max(1, round(recipe.epochs * steps_per_epoch))
    task = _task(recipe, backbone, perceptor or backbone, templates, precision)
    schedule = optimisers.warmup_cosine(recipe.optimiser, steps=steps)
    optimiser = optimisers.optimiser(recipe.optimiser, schedule)
    key = jax.random.fold_in(jax.random.key(seed), _WEIGHTS)
    order = batches.epoch_rows(len(rows), batch=recipe.batch, seed=seed)
    return DecoderTraining(
        jax.jit(lambda key: decoder_step.initial_state(key, task, optimiser))(key),
        decoder_step.make_step(task, optimiser, schedule),
        order.map(lambda at: {"images": crops[rows[at]], "templates": templates[at]}),
        steps,
        steps_per_epoch,
        task.centre,
        lambda state: decoder_step.trained_decoder(task, state),
    )


def _task(
    recipe: DecoderRecipe,
    backbone: Backbone,
    perceptor: Backbone,
    templates: np.ndarray,
    precision: str,
) -> decoder_step.DecoderTask:
    """Fits the decoder to the templates."""
    wanted, given = (b.preprocess.alignment for b in (backbone, perceptor))
    if wanted != given:
        raise InputError(
            f"the perceptor takes crops of the kind {given}, and the decodes are of "
            f"the kind {wanted}; choose another"
        )
    flat = templates.reshape(-1, templates.shape[-1])
    centre = flat.mean(axis=0, dtype=np.float64)
    spread = float(np.sqrt(((flat - centre) ** 2).mean()))
    if not spread > 0:
        raise InputError("all templates are the same; there is nothing to decode")
    config = dataclasses.replace(
        recipe.config, template_dim=len(centre), dtype="float32"
    )
    trained = dataclasses.replace(config, dtype=precision)
    plain, learning = (
        weights.abstract_network(lambda c=c: DeepFaceDecoder(c, rngs=nnx.Rngs(0)))
        for c in (config, trained)
    )
    return decoder_step.DecoderTask(
        *(plain, learning, backbone, perceptor, centre.astype(np.float32), spread),
        loss=recipe.loss,
        noise=recipe.noise,
    )
