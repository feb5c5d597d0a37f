"""One step of training a face-recognition network, as a pure function of its state."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.blending import unit_range
from facedirs_jax.errors import InputError

from . import normalisation, weights
from .augmentation import Augmentation, augment
from .objective import Objective, loss_and_accuracy

Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]


class BackboneState(NamedTuple):
    """All that changes from step to step; a pytree.

    Attributes:
        network: the trained network's nnx.Param, float32, any shape.
        head: the classifier, which is left out of the exported network: `kernel`
            [D, C], and `bias` [C] with softmax.
        stats: the network's nnx.BatchStat, float32 [C] each.
        optimiser: optax's state.
        step: [] int32, steps done.
    """

    network: Any
    head: dict[str, jax.Array]
    stats: Any
    optimiser: Any
    step: jax.Array


class BackboneTask(NamedTuple):
    """All that stays the same.

    Attributes:
        plain: the library's network, abstract: what is exported.
        learning: the network in training, abstract, after `normalisation.trainable`.
        preprocess: of the network.
        objective: what it is trained to do.
        augmentation: of its crops.
    """

    plain: Any
    learning: Any
    preprocess: Preprocess
    objective: Objective
    augmentation: Augmentation


def new_task(
    build: Callable[..., Any],
    config: Any,
    preprocess: Preprocess,
    objective: Objective,
    *,
    augmentation: Augmentation,
    precision: str = "float32",
) -> BackboneTask:
    """Describes the training of a network.

    Args:
        build: class of the network, (config, rngs=...) -> module.
        config: of the network to export; it computes in float32.
        preprocess: of the network.
        objective: what it is trained to do.
        augmentation: of its crops.
        precision: "float32" or "bfloat16", of the computation in training.

    Returns:
        BackboneTask.

    Raises:
        InputError: if network and preprocessing have different sizes.
    """
    if preprocess.size != config.image_size:
        raise InputError(
            f"crops of {preprocess.size} px do not fit a network of "
            f"{config.image_size} px"
        )

    def plain() -> Any:
        return build(config, rngs=nnx.Rngs(0))

    def learning() -> Any:
        trained = dataclasses.replace(config, dtype=precision)
        return normalisation.trainable(build(trained, rngs=nnx.Rngs(0)))

    return BackboneTask(
        weights.abstract_network(plain),
        weights.abstract_network(learning),
        preprocess,
        objective,
        augmentation,
    )


def initial_state(
    key: jax.Array, task: BackboneTask, optimiser: optax.GradientTransformation
) -> BackboneState:
    """Random weights, and an optimiser that has seen nothing.

    Args:
        key: of the randomness, consumed.
        task: what is trained.
        optimiser: of the parameters.

    Returns:
        BackboneState of float32 arrays, any shape.
    """
    network_key, head_key = jax.random.split(key)
    network = weights.initialise(network_key, task.learning)
    _, trained, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
    shape = task.plain.config.embedding_dim, task.objective.people
    head = {"kernel": 0.01 * jax.random.normal(head_key, shape)}
    if task.objective.loss != "arcface":
        head["bias"] = jnp.zeros(shape[1])
    started = optimiser.init({"network": trained, "head": head})
    return BackboneState(trained, head, stats, started, jnp.int32(0))


def with_weights(state: BackboneState, earlier: BackboneState) -> BackboneState:
    """A beginning with the network and the classifier of an earlier training.

    Args:
        state: that begins, arrays of any shape.
        earlier: of the same structure.

    Returns:
        BackboneState whose optimiser has seen nothing: a warm restart (Loshchilov and
        Hutter, "SGDR", 1608.03983).
    """
    return state._replace(
        network=earlier.network, head=earlier.head, stats=earlier.stats
    )


def for_people(state: BackboneState, people: int) -> BackboneState:
    """The same of another number of people.

    Args:
        state: arrays of any shape.
        people: how many to tell apart.

    Returns:
        BackboneState whose classifier, and what the optimiser knows of it, is zeros.
    """

    def resized(path: tuple[Any, ...], array: jax.Array) -> jax.Array:
        of_head = any(
            getattr(key, "name", getattr(key, "key", "")) == "head" for key in path
        )
        shape = (*array.shape[:-1], people)
        return jnp.zeros(shape, array.dtype) if of_head and array.ndim else array

    return jax.tree_util.tree_map_with_path(resized, state)


def make_step(
    task: BackboneTask,
    optimiser: optax.GradientTransformation,
    schedule: optax.Schedule,
) -> Callable[[BackboneState, Batch, jax.Array], tuple[BackboneState, Metrics]]:
    """The pure function of one step, for `loop.train` to jit.

    Args:
        task: what is trained.
        optimiser: of the parameters.
        schedule: its learning rate [] at each step, for the log.

    Returns:
        (state, batch, key) -> (state, metrics). A batch holds `images` [B, S, S, 3]
        uint8 RGB and `labels` [B] int32; metrics are `loss`, `accuracy` (share of faces
        whose own person scores highest, without a margin), `gradient_norm` and
        `learning_rate`, [] float32 each.
    """
    graphdef, *_ = nnx.split(task.learning, nnx.Param, nnx.BatchStat)

    def step(
        state: BackboneState, batch: Batch, key: jax.Array
    ) -> tuple[BackboneState, Metrics]:
        augment_key, dropout_key = jax.random.split(key)
        images = unit_range(batch["images"])
        images = augment(augment_key, images, task.augmentation)
        inputs = task.preprocess(images)

        def loss_of(trained: dict[str, Any]) -> tuple[jax.Array, tuple[Any, Any]]:
            # A copy, since its statistics are replaced within this trace.
            network = nnx.merge(graphdef, trained["network"], state.stats, copy=True)
            embeddings = network(inputs)
            loss, accuracy = loss_and_accuracy(
                dropout_key,
                *(embeddings, trained["head"], batch["labels"]),
                task.objective,
                state.step,
            )
            return loss, (accuracy, nnx.state(network, nnx.BatchStat))

        trained: Any = {"network": state.network, "head": state.head}
        (loss, (accuracy, stats)), gradients = jax.value_and_grad(
            loss_of, has_aux=True
        )(trained)
        updates, optimiser_state = optimiser.update(gradients, state.optimiser, trained)
        trained = optax.apply_updates(trained, updates)
        metrics = {
            "loss": loss,
            "accuracy": accuracy,
            "gradient_norm": jnp.sqrt(
                sum(jnp.sum(array**2) for array in jax.tree.leaves(gradients))
            ),
            "learning_rate": jnp.asarray(schedule(state.step), jnp.float32),
        }
        done = BackboneState(
            network=trained["network"],
            head=trained["head"],
            stats=stats,
            optimiser=optimiser_state,
            step=state.step + 1,
        )
        return done, metrics

    return step


def inference_network(task: BackboneTask, state: BackboneState) -> Any:
    """The library's network with the weights of a state, as it is exported and used.

    Args:
        task: what is trained.
        state: of the training, arrays of any shape.

    Returns:
        The module; it computes in float32.
    """
    graphdef, *_ = nnx.split(task.learning, nnx.Param, nnx.BatchStat)
    network = nnx.merge(graphdef, state.network, state.stats)
    arrays = {n: np.asarray(a) for n, a in weights.arrays_of(network).items()}
    if arrays.keys() != weights.shapes_of(task.plain).keys():
        arrays = normalisation.folded(arrays)
    return weights.filled(task.plain, arrays)
