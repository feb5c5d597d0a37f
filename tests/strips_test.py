"""Strips of a toy network: equal to their parts one by one, with numbers to record."""

import numpy as np
import pytest
from filled import filled

from facedirs_jax.decoders.deep_face_decoder import (
    DeepFaceDecoder,
    DeepFaceDecoderConfig,
)
from facedirs_jax.decoding import decode, embed_again
from facedirs_jax.directions.record import Directions
from facedirs_jax.strips import Probes, make_strips, with_strips
from facedirs_jax.traversal import steps_of, traverse

DIM = 12  # of the toy network's templates


@pytest.fixture(scope="module")
def decoder():
    return filled(DeepFaceDecoder, DeepFaceDecoderConfig.tiny(template_dim=DIM))


def strip_parts():
    rng = np.random.default_rng(3)
    vectors = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0][:5].astype(np.float32)
    eigenvalues = np.array([0.5, 0.4, 0.3, 0.2, 0.0], np.float32)
    directions = Directions(vectors, eigenvalues, np.zeros(DIM, np.float32), {"a": 1})
    templates = rng.normal(size=(2, DIM)).astype(np.float32)
    crops = rng.integers(0, 256, (2, 24, 24, 3)).astype(np.uint8)
    masks = rng.uniform(size=(2, 24, 24)).astype(np.float32)
    return directions, Probes(np.array([4, 9]), crops, templates), masks


def test_a_strip_is_what_its_parts_give_one_by_one(decoder, toy):
    directions, probes, masks = strip_parts()
    alphas = steps_of(-2.0, 2.0, 5)
    strips = make_strips(decoder, toy, directions, probes, masks, alphas)
    assert strips.decodes.shape == (2, 3, 5, 24, 24, 3)
    assert strips.cosine.shape == strips.isolation.shape == (2, 3)
    vector, scale = directions.directions[2], np.sqrt(directions.eigenvalues[2])
    moved = traverse(probes.templates[1], vector, scale, alphas, unit_norm=False)
    decodes = decode(decoder, moved)
    np.testing.assert_allclose(strips.decodes[1, 2], decodes, atol=1e-5)
    found = embed_again(toy, decodes)
    step = (found - found[2]) @ vector / (scale * np.where(alphas, alphas, 1))
    np.testing.assert_allclose(
        strips.recovered[1, 2], step[alphas != 0].mean(), rtol=1e-3, atol=1e-4
    )
    change = np.abs(decodes[-1] - decodes[0]).mean(axis=2)
    share = (change * masks[1]).sum() / change.sum() / masks[1].mean()
    np.testing.assert_allclose(strips.isolation[1, 2], share, rtol=1e-3)


def test_the_record_of_a_direction_tells_of_its_strips(decoder, toy):
    directions, probes, masks = strip_parts()
    alphas = steps_of(-2.0, 2.0, 5)
    strips = make_strips(decoder, toy, directions, probes, masks, alphas, components=9)
    told = with_strips(directions, strips, {"decoder": "tiny"}).about["traversals"]
    assert told["decoder"] == {"decoder": "tiny"}
    assert told["alphas"] == [-2, -1, 0, 1, 2]
    assert [(row["face"], row["component"]) for row in told["strips"]] == [
        (face, component) for face in (4, 9) for component in range(1, 6)
    ]
    still = told["strips"][4]  # its eigenvalue is 0: nothing moves
    assert still["recovered"] is None and still["isolation"] is None
    assert isinstance(still["cosine"], float) and directions.about == {"a": 1}


def test_strips_without_their_probe_in_the_middle_are_refused(decoder, toy):
    parts = strip_parts()
    for alphas in (steps_of(-2.0, 2.0, 4), steps_of(0.0, 2.0, 3)):
        with pytest.raises(ValueError, match="0 in the middle"):
            make_strips(decoder, toy, *parts, alphas)
