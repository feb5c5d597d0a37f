import dataclasses

import numpy as np
import pytest

from facedirs_jax import templates


def test_templates_are_the_networks_embeddings_of_preprocessed_images(toy, toy_faces):
    network, preprocess = toy
    images = toy_faces.crops.astype(np.float32) / 255
    inputs = (images * 255 - 127.5) / 127.5
    np.testing.assert_allclose(
        templates.embed(network, preprocess, images), network(inputs), atol=1e-5
    )


def test_uint8_and_float_images_give_the_same_templates(toy, toy_faces):
    as_float = toy_faces.crops.astype(np.float32) / 255
    np.testing.assert_allclose(
        templates.embed(toy.network, toy.preprocess, toy_faces.crops),
        templates.embed(toy.network, toy.preprocess, as_float),
        atol=1e-5,  # 255 * (v / 255) is v to 1 part in 10^7, 192 of them in a sum
    )


def test_a_template_does_not_depend_on_its_neighbours(toy, toy_faces):
    crops = toy_faces.crops
    together = templates.embed(
        toy.network, toy.preprocess, np.concatenate([crops, crops, crops])
    )
    for row in (0, 19, 59):
        alone = templates.embed(toy.network, toy.preprocess, crops[row % 20][None])
        np.testing.assert_array_equal(together[row], alone[0])


def test_unit_norm_templates_lie_on_the_sphere(toy, toy_faces):
    preprocess = dataclasses.replace(toy.preprocess, unit_norm=True)
    found = templates.embed(toy.network, preprocess, toy_faces.crops)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((24, 24, 3), np.uint8), r"must be \[N, 24, 24, 3\] RGB"),
        (np.zeros((1, 25, 25, 3), np.uint8), r"got \[1, 25, 25, 3\]"),
        (np.zeros((1, 24, 24, 1), np.uint8), r"got \[1, 24, 24, 1\]"),
        (np.zeros((1, 24, 24, 3)), "got float64"),
        (np.full((1, 24, 24, 3), 200, np.float32), "divide 0..255 by 255"),
        (np.full((1, 24, 24, 3), np.nan, np.float32), r"must lie in \[0, 1\]"),
        (np.zeros((0, 24, 24, 3), np.uint8), "no images"),
    ],
)
def test_images_of_another_kind_are_refused(toy, images, message):
    with pytest.raises(ValueError, match=message):
        templates.embed(toy.network, toy.preprocess, images)


def test_the_number_of_dimensions_is_known_without_computing(toy, toy_faces):
    dim = templates.template_dim(toy.network, toy.preprocess)
    found = templates.embed(toy.network, toy.preprocess, toy_faces.crops)
    assert dim == found.shape[1] == 12
