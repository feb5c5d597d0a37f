"""Optimisers: the rate's course, what decays, and steps by hand."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.training.optimisers import (
    OptimiserConfig,
    one_after_another,
    optimiser,
    warmup_cosine,
)

PLAIN = {"warmup": 0.0, "final": 1.0, "clip_norm": None}


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine():
    config = OptimiserConfig(learning_rate=2.0, warmup=0.2, final=0.1)
    rate: Any = warmup_cosine(config, steps=100)
    np.testing.assert_allclose([rate(0), rate(10), rate(20)], [0, 1, 2], atol=1e-6)
    halfway = 0.2 + 1.8 * 0.5
    np.testing.assert_allclose([rate(60), rate(100)], [halfway, 0.2], atol=1e-6)


def test_a_second_course_follows_the_first():
    config = OptimiserConfig(learning_rate=2.0, warmup=0.0, final=0.1)
    first: Any = warmup_cosine(config, steps=10)
    second: Any = warmup_cosine(config, steps=4)
    both: Any = one_after_another(first, 10, second)
    np.testing.assert_allclose([both(9), both(10)], [first(9), 2.0], rtol=1e-6)
    np.testing.assert_allclose(both(13), second(3), rtol=1e-6)


def test_without_a_warm_up_the_first_step_moves():
    rate: Any = warmup_cosine(OptimiserConfig(warmup=0.0), steps=1)
    assert rate(0) > 0


def one_step(config, gradients, parameters) -> Any:
    chain = optimiser(config, warmup_cosine(config, steps=10))
    updates, _ = chain.update(gradients, chain.init(parameters), parameters)
    return optax.apply_updates(parameters, updates)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_kernels_decay_and_vectors_do_not(kind):
    parameters = {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.full(2, 3.0)}
    nothing = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
    config = OptimiserConfig(kind, learning_rate=0.1, weight_decay=0.5, **PLAIN)
    found = one_step(config, nothing, parameters)
    np.testing.assert_array_equal(found["bias"], 3.0)
    nesterov = 1.9 if kind == "sgd" else 1.0
    np.testing.assert_allclose(found["kernel"], 3 - 0.1 * nesterov * 0.5 * 3, rtol=1e-6)


def test_long_gradients_are_cut_to_their_direction():
    parameters = {"kernel": jnp.zeros((1, 2))}
    gradients = {"kernel": jnp.array([[30.0, 40.0]])}
    config = OptimiserConfig(
        "sgd", learning_rate=1.0, weight_decay=0.0, warmup=0.0, final=1.0, clip_norm=5.0
    )
    found = one_step(config, gradients, parameters)
    np.testing.assert_allclose(found["kernel"], [[-1.9 * 3, -1.9 * 4]], rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"kind": "lion"}, "sgd or adamw"), ({"learning_rate": 0.0}, "learning_rate"),
     ({"weight_decay": -1.0}, "weight_decay"), ({"warmup": 1.0}, "warmup")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong, named):
    with pytest.raises(InputError, match=named):
        OptimiserConfig(**wrong)
