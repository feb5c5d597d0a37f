"""Losses against plain numpy, loop by loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from facedirs_jax.training import losses


def random_batch(people=5, photos=3, dim=6, seed=0):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(people * photos, dim)).astype(np.float32)
    return embeddings, np.repeat(np.arange(people), photos).astype(np.int32)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_that_of_the_softmax_to_smoothed_labels(smoothing):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (7, 4)).astype(np.float32)
    labels = rng.integers(0, 4, 7)
    target = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    expected = -(target * np.log(special.softmax(logits, axis=1))).sum(axis=1)
    found = losses.softmax_cross_entropy(
        jnp.asarray(logits), jnp.asarray(labels), smoothing=smoothing
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_cross_entropy_ignores_what_is_added_to_all_logits_of_a_face():
    logits = jax.random.normal(jax.random.key(0), (4, 5))
    labels = jnp.array([0, 1, 4, 2])
    moved = logits + jnp.arange(4.0)[:, None] * 100
    np.testing.assert_allclose(
        losses.softmax_cross_entropy(moved, labels),
        losses.softmax_cross_entropy(logits, labels),
        atol=2e-4,  # float32 at 300
    )


def test_one_label_a_face_is_needed():
    with pytest.raises(ValueError, match="shape"):
        losses.softmax_cross_entropy(jnp.ones((4, 5)), jnp.zeros(3, jnp.int32))
    with pytest.raises(ValueError, match="shape"):
        losses.triplet_loss(jnp.ones((4, 5)), jnp.zeros(3, jnp.int32))
    with pytest.raises(ValueError, match="shape"):
        losses.add_angular_margin(jnp.ones((4, 5)), jnp.zeros(3, jnp.int32), 0.5)


def arcface_by_angles(embeddings, kernel, labels, margin):
    """Deng et al., with the angle itself."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = unit @ (kernel / np.linalg.norm(kernel, axis=0))
    found = cosines.copy()
    for row, label in enumerate(labels):
        angle = np.arccos(cosines[row, label])
        if angle + margin < np.pi:
            found[row, label] = np.cos(angle + margin)
        else:
            found[row, label] = cosines[row, label] - margin * np.sin(margin)
    return found


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_the_margin_is_added_to_the_angle_to_the_own_person(margin):
    embeddings, labels = random_batch(people=6, photos=20)
    kernel = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)
    cosines = losses.class_cosines(jnp.asarray(embeddings), jnp.asarray(kernel))
    found = losses.add_angular_margin(cosines, jnp.asarray(labels), margin)
    expected = arcface_by_angles(embeddings, kernel, labels, margin)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_margin_never_makes_a_wider_angle_cheaper():
    angles = np.linspace(0, np.pi, 500)
    cosines = jnp.asarray(np.cos(angles)[:, None], jnp.float32)
    labels = jnp.zeros(500, jnp.int32)
    found = losses.add_angular_margin(cosines, labels, 0.5)[:, 0]
    beyond = angles > np.pi - 0.5
    for part in (found[~beyond], found[beyond]):
        assert (np.diff(part) <= 1e-6).all()
    assert (found <= cosines[:, 0]).all()


def test_gradients_of_the_margin_are_finite_where_the_angle_is_0_or_pi():
    def total(cosines):
        labels = jnp.zeros(len(cosines), jnp.int32)
        return losses.add_angular_margin(cosines, labels, 0.5).sum()

    assert np.isfinite(jax.grad(total)(jnp.array([[1.0], [-1.0], [0.0]]))).all()


def triplets_by_loops(embeddings, labels, margin, mining):
    """Mean over anchors (hard) or pairs (semi-hard), one triplet at a time."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    distances = ((unit[:, None] - unit[None]) ** 2).sum(axis=2)
    terms = []
    for anchor, label in enumerate(labels):
        others = distances[anchor][labels != label]
        own = [p for p in np.flatnonzero(labels == label) if p != anchor]
        if not len(others) or not own:
            continue
        if mining == "hard":
            hinge = distances[anchor][own].max() - others.min() + margin
            terms.append(max(0, hinge))
            continue
        for positive in own:
            farther = others[others > distances[anchor, positive]]
            negative = farther.min() if len(farther) else others.max()
            terms.append(max(0, distances[anchor, positive] - negative + margin))
    return np.mean(terms) if terms else 0.0


@pytest.mark.parametrize("mining", ["semi_hard", "hard"])
@pytest.mark.parametrize("seed", [0, 1])
def test_triplets_are_those_that_a_loop_finds(mining, seed):
    embeddings, labels = random_batch(people=4, photos=4, dim=3, seed=seed)
    embeddings[labels == 0] += 3  # a person that is easy to tell
    order = np.random.default_rng(seed).permutation(16)
    embeddings, labels = embeddings[order], labels[order]
    found = losses.triplet_loss(
        jnp.asarray(embeddings), jnp.asarray(labels), margin=0.3, mining=mining
    )
    expected = triplets_by_loops(embeddings, labels, 0.3, mining)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("mining", ["semi_hard", "hard"])
def test_a_batch_without_triplets_costs_nothing_and_pulls_nowhere(mining):
    embeddings, _ = random_batch()

    def loss(embeddings, labels):
        return losses.triplet_loss(embeddings, labels, mining=mining)

    for labels in (np.zeros(15, np.int32), np.arange(15, dtype=np.int32)):
        value, slope = jax.value_and_grad(loss)(jnp.asarray(embeddings), labels)
        assert value == 0.0
        assert np.all(np.asarray(slope) == 0.0)


def test_the_triplet_loss_does_not_see_the_length_of_embeddings():
    embeddings, labels = random_batch()
    lengths = np.linspace(0.1, 9, 15).astype(np.float32)[:, None]
    np.testing.assert_allclose(
        losses.triplet_loss(jnp.asarray(embeddings * lengths), jnp.asarray(labels)),
        losses.triplet_loss(jnp.asarray(embeddings), jnp.asarray(labels)),
        rtol=1e-4,
    )
