"""Decodes and their cycle: against plain numpy, and decoders whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled

import facedirs_jax
from facedirs_jax.decoders.deep_face_decoder import (
    DeepFaceDecoder,
    DeepFaceDecoderConfig,
)
from facedirs_jax.decoding import (
    as_uint8,
    cycle_consistency,
    decode,
    embed_again,
    resized,
)
from facedirs_jax.templates import BATCH, embed
from facedirs_jax.traversal import steps_of, traverse

DIM = 12  # of the toy network's templates


@pytest.fixture(scope="module")
def decoder():
    return filled(DeepFaceDecoder, DeepFaceDecoderConfig.tiny(template_dim=DIM))


def templates_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, DIM)).astype(np.float32)


@pytest.mark.parametrize("count", [1, BATCH, BATCH + 3])
def test_decodes_are_those_of_the_decoder(decoder, count):
    templates = templates_of(count)
    found = decode(decoder, templates)
    assert (found.shape, found.dtype) == ((count, 24, 24, 3), np.float32)
    assert found.min() >= 0 and found.max() <= 1
    plain = decoder(jnp.asarray(templates))
    np.testing.assert_allclose(found, plain, atol=1e-5)  # float32, another order
    assert facedirs_jax.decode is decode


def test_a_decode_does_not_depend_on_its_neighbours(decoder):
    templates = templates_of(5)
    alone = decode(decoder, templates[3:4])
    np.testing.assert_array_equal(decode(decoder, templates)[3:4], alone)


def test_templates_that_do_not_fit_are_refused(decoder):
    for wrong in (templates_of(3)[:, :5], templates_of(3)[0], templates_of(0)):
        with pytest.raises(ValueError):
            decode(decoder, wrong)


def test_a_picture_keeps_its_size_or_gets_another():
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(size=(2, 12, 12, 3)), jnp.float32)
    assert resized(images, 12) is images
    larger = resized(images, 30)
    assert larger.shape == (2, 30, 30, 3)
    assert larger.min() >= 0 and larger.max() <= 1
    np.testing.assert_allclose(resized(jnp.full((1, 12, 12, 3), 0.3), 5), 0.3, 1e-5)


def test_decodes_are_embedded_at_the_size_of_the_network(toy):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(BATCH + 2, 48, 48, 3)).astype(np.float32)
    found = embed_again(toy, images)
    sized = np.asarray(resized(jnp.asarray(images), toy.preprocess.size))
    np.testing.assert_allclose(
        found, embed(toy.network, toy.preprocess, sized), atol=1e-5
    )


def along(unit_norm):
    template, direction = templates_of(2, seed=1)
    if unit_norm:
        template = template / np.linalg.norm(template)
    steps = steps_of(-3.0, 3.0, 7)
    return traverse(template, direction, 0.4, steps, unit_norm=unit_norm), direction


CENTRE = jnp.full(DIM, 0.3, jnp.float32)


def test_the_cycle_is_that_of_numpy():
    templates, direction = along(False)
    found = templates_of(7, seed=2)
    cycle = cycle_consistency(
        templates, jnp.asarray(found), jnp.asarray(direction), CENTRE, probe=3
    )
    moved, unit = np.asarray(templates), direction / np.linalg.norm(direction)
    for row, alpha in enumerate(steps_of(-3.0, 3.0, 7)):
        a, b = moved[row], found[row]
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        np.testing.assert_allclose(cycle.cosine[row], cosine, atol=1e-5)
        a, b = a - 0.3, b - 0.3
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        np.testing.assert_allclose(cycle.centred_cosine[row], cosine, atol=1e-5)
        if alpha:
            recovered = unit @ (found[row] - found[3]) / (alpha * 0.4)
            np.testing.assert_allclose(cycle.recovered[row], recovered, rtol=1e-4)
    assert np.isnan(cycle.recovered[3])
    compiled = jax.jit(cycle_consistency, static_argnames="probe")(
        templates, jnp.asarray(found), jnp.asarray(direction), CENTRE, probe=3
    )
    for one, other in zip(cycle, compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("unit_norm", [False, True])
def test_a_perfect_cycle_recovers_all_and_a_mean_face_nothing(unit_norm):
    templates, direction = along(unit_norm)
    direction = jnp.asarray(direction)
    perfect = cycle_consistency(templates, templates, direction, CENTRE, probe=3)
    np.testing.assert_allclose(perfect.cosine, 1, atol=1e-5)
    np.testing.assert_allclose(perfect.centred_cosine, 1, atol=1e-5)
    np.testing.assert_allclose(np.delete(perfect.recovered, 3), 1, atol=1e-4)
    same = jnp.broadcast_to(templates[3], templates.shape)
    nothing = cycle_consistency(templates, same, direction, CENTRE, probe=3)
    np.testing.assert_allclose(np.delete(nothing.recovered, 3), 0, atol=1e-6)
    half = templates[3][None] + 0.5 * (templates - templates[3][None])
    some = cycle_consistency(templates, half, direction, CENTRE, probe=3)
    np.testing.assert_allclose(np.delete(some.recovered, 3), 0.5, atol=1e-4)


def test_arrays_of_a_cycle_that_do_not_fit_are_refused():
    templates, direction = along(False)
    direction = jnp.asarray(direction)
    with pytest.raises(ValueError):
        cycle_consistency(templates, templates[:3], direction, CENTRE, probe=0)
    with pytest.raises(ValueError):
        cycle_consistency(templates, templates, direction[:3], CENTRE, probe=0)


def test_pixels_are_rounded_and_clipped():
    found = as_uint8(np.array([-0.1, 0.0, 0.5, 1.2], np.float32))
    np.testing.assert_array_equal(found, [0, 0, 128, 255])
    assert as_uint8(found) is found
