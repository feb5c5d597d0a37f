"""Training of tiny backbones: it repeats, learns, exports, and refuses bad input."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import arrays_of
from people import crops_of, names_of

from facedirs_jax import devices
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.layers import ConvUnit
from facedirs_jax.backbones.resnet50 import ResNet50Config
from facedirs_jax.backbones.vgg16 import VGG16, VGG16Config
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import roc
from facedirs_jax.evaluation.verification import verification_pairs
from facedirs_jax.templates import embed
from facedirs_jax.training import backbone_step, losses, recipes
from facedirs_jax.training.augmentation import Augmentation
from facedirs_jax.training.backbone_training import (
    BackboneTraining,
    _order,
    backbone_training,
)
from facedirs_jax.training.objective import Objective, loss_and_accuracy

STILL = Augmentation.none()
QUICK = {"xla_backend_optimization_level": 0}  # to compile, and slow to run


def tiny(name, **changes):
    """A recipe of a network for tests, without augmentation unless it is asked for."""
    config = {
        "vgg16": VGG16Config(width=1 / 16, image_size=32),
        "resnet50": ResNet50Config(width=1 / 16, image_size=32, blocks=(1, 1, 1, 1)),
        "iresnet": IResNetConfig(
            blocks=(2, 1), widths=(8, 16), embedding_dim=16, image_size=32
        ),
    }[recipes.RECIPES[name].network]
    changes = {"config": config, "batch": 8, "augmentation": STILL} | changes
    return dataclasses.replace(recipes.RECIPES[name], **changes)


def training_of(recipe, people=8, photos=4, **settings) -> BackboneTraining:
    crops = crops_of(people, photos, recipe.config.image_size)
    rows = np.arange(len(crops))
    return backbone_training(recipe, crops, rows, names_of(people, photos), **settings)


def run_steps(training, steps, jitted=None, mesh=None):
    """Metrics of each step, and the state after them."""
    options = QUICK if steps <= 20 else None
    jitted = jitted or jax.jit(training.step, compiler_options=options)
    mesh = mesh or devices.data_mesh(devices=1)
    state, told = devices.copied(training.state, mesh), []
    key = jax.random.key(0)
    for number in range(steps):
        batch = devices.split(training.batches[number], mesh)
        state, found = jitted(state, batch, jax.random.fold_in(key, number))
        told.append({name: float(value) for name, value in found.items()})
    return told, state


def losses_of(told):
    return [found["loss"] for found in told]


@pytest.fixture(scope="module")
def augmented():
    """Training with all kinds of augmentation, and its step, jitted."""
    training = training_of(tiny("iresnet_arcface", augmentation=Augmentation()), seed=5)
    return training, jax.jit(training.step, compiler_options=QUICK)


def test_the_first_twenty_steps_are_the_same_when_they_are_done_again(augmented):
    training, jitted = augmented
    first, _ = run_steps(training, 20, jitted)
    again = training_of(tiny("iresnet_arcface", augmentation=Augmentation()), seed=5)
    assert run_steps(again, 20, jitted)[0] == first
    other = training_of(tiny("iresnet_arcface", augmentation=Augmentation()), seed=6)
    assert losses_of(run_steps(other, 1, jitted)[0]) != losses_of(first[:1])


@pytest.mark.parametrize(
    "name", ["vgg16_softmax", "resnet50_softmax", "iresnet_arcface"]
)
def test_a_tiny_network_learns_eight_people_by_heart(name):
    optimiser = dataclasses.replace(
        recipes.RECIPES[name].optimiser, learning_rate=5e-3, weight_decay=0.0
    )
    recipe = tiny(
        name, epochs=25, optimiser=optimiser, dropout=0.0, smoothing=0.0, margin=0.2
    )
    training = training_of(recipe)
    told, state = run_steps(training, training.steps)
    assert losses_of(told)[-1] < 0.2 * losses_of(told)[0]
    assert np.mean([found["accuracy"] for found in told[-4:]]) == 1.0
    network = training.network_of(state)
    crops = crops_of(8, 6, recipe.config.image_size)  # the same people, other photos
    templates = np.asarray(embed(network, recipe.preprocess(), crops))
    pairs = verification_pairs(templates, names_of(8, 6), metric="cosine")
    # By stored statistics, not those of the batch: they must have settled.
    assert roc.auc(roc.roc_curve(pairs.distances, pairs.same)) > 0.95


def test_the_exported_network_is_the_librarys_with_the_trained_arrays():
    recipe = tiny("iresnet_arcface")
    training = training_of(recipe)
    _, state = run_steps(training, 3)
    network = training.network_of(state)
    assert type(network) is IResNet
    assert network.config == recipe.config
    trained = {**arrays_of(state.network), **arrays_of(state.stats)}
    found = arrays_of(network)
    assert found.keys() == trained.keys()
    assert all(np.array_equal(found[name], trained[name]) for name in found)
    assert not np.array_equal(found["bn2.mean"], np.zeros(16))


def test_a_vgg16_comes_out_without_the_normalisations_it_was_trained_with():
    training = training_of(tiny("vgg16_softmax"))
    network = training.network_of(training.state)
    assert type(network) is VGG16
    assert all(unit.bn is None for unit in network.trunk if isinstance(unit, ConvUnit))
    assert network.config.dtype == "float32"


def test_bfloat16_follows_float32_and_exports_float32():
    recipe = tiny("iresnet_arcface")
    wide, (narrow, state) = (
        run_steps(training_of(recipe, precision=precision), 3)
        for precision in ("float32", "bfloat16")
    )
    np.testing.assert_allclose(losses_of(narrow), losses_of(wide[0]), rtol=0.05)
    network = training_of(recipe, precision="bfloat16").network_of(state)
    assert network.config.dtype == "float32"
    leaves = jax.tree.leaves(network)
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


def test_two_devices_find_the_losses_of_one(augmented):
    """Normalisation is by the whole batch, wherever its parts are."""
    training, jitted = augmented
    one, _ = run_steps(training, 4, jitted)
    two, _ = run_steps(training, 4, jitted, mesh=devices.data_mesh(devices=2))
    # Other orders of summation, amplified by four steps of Adam.
    np.testing.assert_allclose(losses_of(two), losses_of(one), rtol=1e-2)


def test_triplets_follow_the_softmax_on_balanced_batches_at_a_lower_rate():
    recipe = tiny("vgg16_softmax_triplet", epochs=4, triplet_photos=4, dropout=0.0)
    training = training_of(recipe)
    assert training.steps == 16
    batches: Any = training.batches
    labels = [batches[step]["labels"] for step in (11, 12, 15)]
    assert len(set(labels[0].tolist())) > 2
    assert [len(set(found.tolist())) for found in labels[1:]] == [2, 2]
    told, _ = run_steps(training, 14)
    assert told[10]["loss"] > 1  # cross-entropy, near ln 8
    assert all(found["loss"] < 1 for found in told[12:])  # a margin of 0.2, and more
    rates = [found["learning_rate"] for found in told]
    assert max(rates[12:]) < 0.2 * max(rates[:12])
    assert recipe.preprocess().unit_norm


def test_the_first_steps_hold_the_first_people_alone_and_the_later_ones_all():
    recipe = tiny("iresnet_arcface", first_people=3, first_share=0.21)
    numbers = np.tile(np.arange(8), 4)
    steps = 48
    objective = recipe.objective(people=8, steps=steps)
    order: Any = _order(recipe, objective, numbers, steps, 5)
    chosen = [np.asarray(order[step]) for step in range(14)]
    assert [len(rows) for rows in chosen] == [8] * 14
    begun = np.concatenate(chosen[:10])  # 0.21 of 48, rounded
    assert (numbers[begun] < 3).all()
    # 80 of 12 pictures: each as often as any other, and 8 of them once more.
    assert sorted(np.bincount(begun)[np.unique(begun)]) == [6] * 4 + [7] * 8
    assert sorted(np.concatenate(chosen[10:])) == list(range(32))
    again: Any = _order(recipe, objective, numbers, steps, 6)
    assert not np.array_equal(again[0], chosen[0])


def test_first_people_with_fewer_pictures_than_a_batch_are_refused():
    told = "the first 2 people have 8 pictures, fewer than a batch of 9; raise --first_"
    with pytest.raises(InputError, match=told):
        training_of(tiny("iresnet_arcface", first_people=2, batch=9))


def test_a_training_begins_with_the_weights_of_another_and_its_own_optimiser(augmented):
    training, jitted = augmented
    _, earlier = run_steps(training, 3, jitted)
    begun = backbone_step.with_weights(training.state, earlier)
    for name in ("network", "head", "stats"):
        found, wanted = (jax.tree.leaves(getattr(s, name)) for s in (begun, earlier))
        assert all(map(np.array_equal, found, wanted))
    fresh = jax.tree.leaves(training.state.optimiser)
    assert all(map(np.array_equal, jax.tree.leaves(begun.optimiser), fresh))
    assert int(begun.step) == 0 and int(earlier.step) == 3
    first = run_steps(training, 1, jitted)[0][0]
    again = run_steps(training._replace(state=begun), 1, jitted)[0][0]
    assert again["learning_rate"] == first["learning_rate"]
    assert again["loss"] != first["loss"]


OBJECTIVE = Objective("arcface", 5, margin=0.4, margin_steps=10, scale=20.0)


def example(objective):
    keys = jax.random.split(jax.random.key(0), 3)
    head = {"kernel": jax.random.normal(keys[0], (6, 5)), "bias": jnp.arange(5.0)}
    labels = jnp.array([0, 1, 4, 4])
    return keys[1], jax.random.normal(keys[2], (4, 6)), head, labels, objective


def test_the_margin_rises_over_its_steps():
    _, embeddings, head, labels, _ = example(OBJECTIVE)
    cosines = losses.class_cosines(embeddings, head["kernel"])
    for step, margin in ((0, 0.04), (4, 0.2), (50, 0.4)):
        found, _ = loss_and_accuracy(*example(OBJECTIVE), jnp.int32(step))
        logits = 20.0 * losses.add_angular_margin(cosines, labels, margin)
        expected = losses.softmax_cross_entropy(logits, labels).mean()
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_softmax_is_that_of_standardised_embeddings_and_dropout_changes_it():
    objective = Objective("softmax", 5, smoothing=0.1)
    _, embeddings, head, labels, _ = example(objective)
    mean, spread = (np.asarray(f(embeddings, axis=0)) for f in (np.mean, np.std))
    standardised = (embeddings - mean[None]) / np.sqrt(spread**2 + 1e-5)[None]
    logits = standardised @ head["kernel"] + head["bias"][None]
    expected = losses.softmax_cross_entropy(logits, labels, smoothing=0.1).mean()
    found, accuracy = loss_and_accuracy(*example(objective), jnp.int32(0))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert accuracy == (np.argmax(logits, axis=1) == np.asarray(labels)).mean()
    dropped = dataclasses.replace(objective, dropout=0.5)
    assert loss_and_accuracy(*example(dropped), jnp.int32(0))[0] != found


@pytest.mark.parametrize(
    ("change", "people", "named"),
    [
        ({"batch": 33}, 8, "a batch of 33 is larger than the data: 32 pictures"),
        ({"batch": 4}, 1, "1 identities .*takes 2 or more"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(change, people, named):
    with pytest.raises(InputError, match=named):
        training_of(tiny("iresnet_arcface", **change), people=people)


def test_seeds_and_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="seed is -1"):
        training_of(tiny("iresnet_arcface"), seed=-1)
    with pytest.raises(InputError, match="loss is one of softmax"):
        Objective("triplet", 4)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="smoothing and dropout"):
        Objective("softmax", 4, dropout=1.0)
    with pytest.raises(InputError, match="crops of 150 px do not fit"):
        backbone_step.new_task(
            IResNet,
            IResNetConfig.tiny(),
            dataclasses.replace(tiny("iresnet_arcface").preprocess(), size=150),
            OBJECTIVE,
            augmentation=STILL,
        )
