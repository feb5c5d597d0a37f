"""One step of training a decoder, as a pure function of its state."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from facedirs_jax.backbones import Backbone
from facedirs_jax.blending import unit_range
from facedirs_jax.decoding import resized

from . import decoder_losses, weights
from .decoder_losses import LossWeights
from .perception import central_crop, feature_paths, features_and_templates

Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]


class DecoderState(NamedTuple):
    """All that changes from step to step; a pytree.

    Attributes:
        decoder: its nnx.Param, float32, any shape; it takes standardised templates.
        optimiser: optax's state.
        step: [] int32, steps done.
    """

    decoder: Any
    optimiser: Any
    step: jax.Array


class DecoderTask(NamedTuple):
    """All that stays the same.

    Attributes:
        plain: the library's decoder, abstract: what is exported.
        learning: the same in the precision of training.
        backbone: whose templates are decoded; frozen.
        perceptor: what sees the features; frozen, often the same.
        centre: [D] float32, mean template of training.
        spread: root mean square of their distances to it, a dimension.
        loss: what the terms weigh.
        noise: standard deviation of the noise on templates, in units of `spread`.
    """

    plain: Any
    learning: Any
    backbone: Backbone
    perceptor: Backbone
    centre: np.ndarray
    spread: float
    loss: LossWeights
    noise: float


def initial_state(
    key: jax.Array, task: DecoderTask, optimiser: optax.GradientTransformation
) -> DecoderState:
    """Random weights, and an optimiser that has seen nothing.

    Args:
        key: of the randomness, consumed.
        task: what is trained.
        optimiser: of the parameters.

    Returns:
        DecoderState of float32 arrays, any shape.
    """
    trained = nnx.state(weights.initialise(key, task.learning), nnx.Param)
    return DecoderState(trained, optimiser.init(trained), jnp.int32(0))


def make_step(
    task: DecoderTask,
    optimiser: optax.GradientTransformation,
    schedule: optax.Schedule,
) -> Callable[[DecoderState, Batch, jax.Array], tuple[DecoderState, Metrics]]:
    """The pure function of one step, for `loop.train` to jit.

    Args:
        task: what is trained.
        optimiser: of the parameters.
        schedule: its learning rate, step [] -> [], for the log.

    Returns:
        (state, batch, key) -> (state, metrics). A batch holds `images` [B, P, P, 3]
        uint8 RGB and `templates` [B, K, D] float32: of the picture and, where K is 2,
        of its mirror image, one of which is drawn. Metrics, [] float32 each, are
        `loss`, its terms, `gradient_norm` and `learning_rate`.
    """
    terms_of = make_terms(task)

    def step(
        state: DecoderState, batch: Batch, key: jax.Array
    ) -> tuple[DecoderState, Metrics]:
        mirror_key, noise_key = jax.random.split(key)
        images, templates = _drawn(mirror_key, batch)
        noise = task.noise * jax.random.normal(noise_key, templates.shape)

        def loss_of(trained: Any) -> tuple[jax.Array, Metrics]:
            return terms_of(trained, images, templates, noise)

        (loss, terms), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            state.decoder
        )
        updates, optimiser_state = optimiser.update(
            gradients, state.optimiser, state.decoder
        )
        squares = [jnp.sum(array**2) for array in jax.tree.leaves(gradients)]
        metrics = {
            "loss": loss,
            **terms,
            "gradient_norm": jnp.sqrt(jnp.stack(squares).sum()),
            "learning_rate": jnp.asarray(schedule(state.step), jnp.float32),
        }
        trained = optax.apply_updates(state.decoder, updates)
        return DecoderState(trained, optimiser_state, state.step + 1), metrics

    return step


def _drawn(key: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Pictures, some mirrored, in [0, 1], and the template of each as it is shown."""
    images, choices = unit_range(batch["images"]), batch["templates"]
    chosen = jax.random.randint(key, (len(images),), 0, choices.shape[1])
    mirrored = chosen.reshape(-1, 1, 1, 1) == 1
    images = jnp.where(mirrored, images[:, :, ::-1], images)
    return images, choices[jnp.arange(len(choices)), chosen]


def make_terms(
    task: DecoderTask,
) -> Callable[..., tuple[jax.Array, Metrics]]:
    """The pure function of the loss.

    Args:
        task: what is trained.

    Returns:
        (decoder's parameters, images [B, P, P, 3] float32 in [0, 1], templates [B, D],
        noise [B, D] of standardised templates) -> loss and its terms, [] float32 each:
        those of `LossWeights` that count, unweighted, and `crop_` ones of the middle.
    """
    graphdef, _ = nnx.split(task.learning, nnx.Param)
    side, loss = task.plain.config.image_size, task.loss
    paths = feature_paths(*task.perceptor, loss.depths) if loss.feature else ()

    def compared(images: jax.Array, decodes: jax.Array) -> Metrics:
        """Terms of one view."""
        found = {
            "pixel": decoder_losses.pixel_loss(images, decodes),
            "gradient": decoder_losses.gradient_loss(images, decodes),
        }
        if loss.feature:
            wanted, _ = features_and_templates(*task.perceptor, images, paths)
            seen, _ = features_and_templates(*task.perceptor, decodes, paths)
            found["feature"] = decoder_losses.feature_loss(wanted, seen)
        return found

    def terms_of(
        trained: Any, images: jax.Array, templates: jax.Array, noise: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        wanted = resized(images, side)
        standardised = (templates - task.centre[None]) / task.spread
        decodes = nnx.merge(graphdef, trained)(standardised + noise)
        terms = compared(wanted, decodes)
        if loss.identity:
            _, found = features_and_templates(*task.backbone, decodes, ())
            centre = jnp.asarray(task.centre)
            terms["identity"] = decoder_losses.identity_loss(templates, found, centre)
        if loss.crop:
            share = loss.crop_share
            middles = central_crop(wanted, share), central_crop(decodes, share)
            terms |= {f"crop_{n}": term for n, term in compared(*middles).items()}
        return total(terms, loss), terms

    return terms_of


def total(terms: Mapping[str, jax.Array], loss: LossWeights) -> jax.Array:
    """The weighted sum of terms.

    Args:
        terms: [] float32 each, by the names of `make_terms`.
        loss: what they weigh.

    Returns:
        [] float32.
    """
    parts = []
    for name, term in terms.items():
        kind = name.removeprefix("crop_")
        factor = loss.crop if name != kind else 1.0
        parts.append(factor * getattr(loss, kind) * term)
    return jnp.stack(parts).sum()


def trained_decoder(task: DecoderTask, state: DecoderState) -> Any:
    """The library's decoder with the weights of a state; it takes plain templates.

    The standardisation of templates, (t - centre) / spread, goes into its first layer.

    Args:
        task: what is trained.
        state: of the training, arrays of any shape.

    Returns:
        The module; it computes in float32.
    """
    graphdef, _ = nnx.split(task.learning, nnx.Param)
    network = nnx.merge(graphdef, state.decoder)
    arrays = {n: np.asarray(a) for n, a in weights.arrays_of(network).items()}
    kernel = arrays["stem.kernel"] / np.float32(task.spread)
    arrays["stem.kernel"] = kernel
    arrays["stem.bias"] = arrays["stem.bias"] - task.centre.astype(np.float32) @ kernel
    return weights.filled(task.plain, arrays)
