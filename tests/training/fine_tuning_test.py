"""Networks that begin with the weights of others, and classifiers made of means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.blending import unit_range
from facedirs_jax.errors import InputError
from facedirs_jax.training import fine_tuning, recipes, weights
from facedirs_jax.training.backbone_step import for_people
from facedirs_jax.training.backbone_training import backbone_training
from facedirs_jax.training.fine_tuning import mean_classifier
from facedirs_jax.training.objective import Objective, loss_and_accuracy

SMALL = {"width": 0.0625, "image_size": 32, "batch": 4}


def begun(name, seed):
    recipe = recipes.adapted(recipes.RECIPES[name], SMALL)
    crops = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8)
    known = crops, np.repeat(np.arange(4), 2)
    rows = np.arange(8)
    training = backbone_training(recipe, crops, rows, known[1], seed=seed)
    return recipe, known, training


def test_the_weights_are_the_networks_and_the_optimiser_is_new():
    recipe, known, training = begun("iresnet_arcface", seed=0)
    network = training.network_of(training.state)
    anew = begun("iresnet_arcface", seed=1)[2]
    state, other = fine_tuning.of_network(anew, network, recipe, *known), anew.state
    found = weights.arrays_of(training.network_of(state))
    for path, array in weights.arrays_of(network).items():
        np.testing.assert_array_equal(found[path], array, err_msg=path)
    assert state.optimiser is other.optimiser
    shapes = jax.tree.map(jnp.shape, (state.head, other.head))
    assert shapes[0] == shapes[1]


def test_normalisations_of_a_training_on_others_are_kept():
    recipe, known, training = begun("vgg16_softmax", seed=0)
    others = for_people(begun("vgg16_softmax", seed=1)[2].state, 7)
    assert {a.shape[-1] for a in others.head.values()} == {7}
    moments = [a.shape[-1] for a in jax.tree.leaves(others.optimiser) if a.ndim]
    assert moments.count(7) >= 2
    state = fine_tuning.of_others(training, others, recipe, *known)
    jax.tree.map(np.testing.assert_array_equal, state.network, others.network)
    assert {a.shape[-1] for a in state.head.values()} == {4}
    assert state.optimiser is training.state.optimiser


def test_a_network_without_its_normalisations_gets_new_ones_and_stays_what_it_is():
    recipe, known, training = begun("vgg16_softmax", seed=0)
    network = training.network_of(training.state)
    anew = begun("vgg16_softmax", seed=1)[2]
    state = fine_tuning.of_network(anew, network, recipe, *known)
    inputs = training.task.preprocess(unit_range(jnp.asarray(known[0])))
    np.testing.assert_allclose(
        anew.network_of(state)(inputs), network(inputs), rtol=1e-4, atol=1e-4
    )
    norm = {n: a for n, a in weights.arrays_of(state.stats).items() if "conv3_2" in n}
    assert {n.rpartition(".")[2] for n in norm} == {"mean", "var"}
    assert all(np.abs(a).max() > 0 and (a != 1).any() for a in norm.values())


def test_another_network_is_refused():
    recipe, known, training = begun("vgg16_softmax", seed=0)
    network = training.network_of(training.state)
    _, _, other = begun("resnet50_softmax", seed=0)
    with pytest.raises(InputError, match=r"has no .* of shape"):
        fine_tuning.of_network(other, network, recipe, *known)


@pytest.mark.parametrize("loss", ["softmax", "arcface"])
def test_the_classifier_of_means_tells_people_apart(loss):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(20), 5))
    centres = rng.normal(size=(20, 16))
    embeddings = centres[labels] + 0.1 * rng.normal(size=(100, 16)) + 3.0
    if loss == "arcface":
        embeddings = embeddings - 3.0
    embeddings = embeddings.astype(np.float32)
    head = mean_classifier(embeddings, labels, angular=loss == "arcface")
    found, accuracy = loss_and_accuracy(
        jax.random.key(0),
        jnp.asarray(embeddings),
        head,
        jnp.asarray(labels),
        Objective(loss, 20, margin=0.0),
        jnp.int32(0),
    )
    assert accuracy == 1.0
    assert found < 0.1 * np.log(20)


def test_the_classifier_is_bayes_rule():
    labels = np.array([0, 0, 1, 1])
    x = np.array([[-2.0], [-1.0], [1.0], [2.0]], np.float32)
    head = mean_classifier(x, labels, angular=False)
    z = x / np.sqrt(x.var() + 1e-5)
    mean, measured = z[2:].mean(), (z[1, 0] - z[0, 0]) ** 2
    logits = z @ np.asarray(head["kernel"]) + np.asarray(head["bias"])
    log_odds = logits[:, 1] - logits[:, 0]
    variances = 2 * mean * z[:, 0] / log_odds
    np.testing.assert_allclose(variances, variances[0], rtol=1e-5)
    assert np.log2(variances[0] / measured) % 1 == pytest.approx(0, abs=1e-4)


def test_dimensions_that_depend_on_each_other_do_not_make_it_sure():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 5)
    x = rng.normal(size=(20, 4))[labels] + 0.5 * rng.normal(size=(100, 4))
    losses = []
    for times in (1, 64):
        repeated = np.tile(x, times).astype(np.float32)
        head = mean_classifier(repeated, labels, angular=False)
        given = jax.random.key(0), jnp.asarray(repeated), head, jnp.asarray(labels)
        found, _ = loss_and_accuracy(*given, Objective("softmax", 20), jnp.int32(0))
        losses.append(float(found))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[0] < 0.5 * np.log(20)


def test_people_with_one_picture_each_cannot_be_fine_tuned_on():
    with pytest.raises(InputError, match="nobody has two pictures"):
        mean_classifier(np.eye(3, dtype=np.float32), np.arange(3), angular=False)
