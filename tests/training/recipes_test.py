"""Recipes: they build, they can be changed, and nonsense is refused."""

import dataclasses
import json

import pytest

from facedirs_jax.alignment import ALIGNMENTS
from facedirs_jax.errors import InputError
from facedirs_jax.training.recipes import RECIPES, adapted, find_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_written_down_and_built(name):
    recipe = RECIPES[name]
    preprocess = recipe.preprocess()
    assert preprocess.alignment in ALIGNMENTS
    assert preprocess.size == recipe.config.image_size
    assert preprocess.unit_norm == (recipe.loss != "softmax")
    assert recipe.objective(people=10, steps=100).triplet_from < 100
    json.dumps(dataclasses.asdict(recipe))
    assert adapted(recipe, {}) == recipe


def test_a_recipe_is_found_by_its_name_or_as_the_first_of_a_network():
    assert find_recipe(name="resnet50_softmax", network=None)[0] == "resnet50_softmax"
    assert find_recipe(name=None, network="vgg16")[0] == "vgg16_softmax"
    assert find_recipe(name="vgg16_softmax_triplet", network="vgg16")[1].loss == (
        "softmax_triplet"
    )


@pytest.mark.parametrize(
    ("name", "network", "named"),
    [
        (None, None, "give --recipe"),
        ("arcface", None, "unknown recipe 'arcface'; known: vgg16_softmax, "),
        (None, "vgg", "unknown network 'vgg'; known: vgg16, "),
        ("vgg16_softmax", "iresnet", "is for vgg16, not iresnet"),
    ],
)
def test_recipes_that_are_not_there_are_refused(name, network, named):
    with pytest.raises(InputError, match=named):
        find_recipe(name=name, network=network)


def test_changes_reach_recipe_network_and_optimiser():
    recipe = adapted(
        RECIPES["iresnet_arcface"],
        {
            "width": 0.5,
            "template_dim": 64,
            "image_size": 112,
            "alignment": "arcface_112",
            "epochs": 3.0,
            "learning_rate": 0.5,
            "flip": 0.0,
            "erase": 0.5,
            "smoothing": 0.1,
            "batch": None,
        },
    )
    assert (recipe.config.width, recipe.config.embedding_dim) == (0.5, 64)
    assert recipe.preprocess().alignment == "arcface_112"
    assert recipe.preprocess().size == 112
    assert (recipe.epochs, recipe.optimiser.learning_rate) == (3.0, 0.5)
    assert (recipe.augmentation.flip, recipe.augmentation.erase) == (0.0, 0.5)
    assert recipe.smoothing == 0.1
    assert recipe.batch == RECIPES["iresnet_arcface"].batch


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("vgg16_softmax", {"template_dim": 64}, "vgg16 has no embedding_dim to set"),
        ("iresnet_arcface", {"image_size": 90}, "image_size must be a multiple"),
        ("iresnet_arcface", {"width": -1.0}, "width must be a positive number"),
        ("iresnet_arcface", {"alignment": "chip"}, "unknown alignment 'chip'"),
        ("iresnet_arcface", {"alignment": "arcface_112"}, "multiples of 112 or 128"),
        ("iresnet_arcface", {"epochs": 0.0}, "epochs must be positive"),
        ("iresnet_arcface", {"learning_rate": 0.0}, "learning_rate must be positive"),
        ("iresnet_arcface", {"flip": 1.5}, "flip is 1.5"),
        ("iresnet_arcface", {"first_people": 1}, "first_people is 1; 2 or more"),
        ("iresnet_arcface", {"first_people": 0}, "first_people is 0; 2 or more"),
        ("vgg16_softmax_triplet", {"batch": 6}, "is not made of 4 photos"),
    ],
)
def test_changes_that_cannot_be_are_refused(name, change, named):
    with pytest.raises(InputError, match=named):
        adapted(RECIPES[name], change)
