"""Oracle: scikit-learn's regressions, over the same folds and penalties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import linear_model, model_selection

from facedirs_jax.directions.labelled import people_in_folds
from facedirs_jax.directions.record import (
    DirectionFile,
    load_directions,
    save_directions,
)
from facedirs_jax.directions.regression import (
    PENALTIES,
    fit_regression,
    regression_direction,
)
from facedirs_jax.errors import InputError

FROM_1000 = tuple(np.geomspace(1e3, 1e9, 13))
# Two shapes in all tests, since each is compiled.
SIZES = {"many templates": (300, 20), "few templates": (60, 100)}


def drawn(size=(300, 20), seed=0, noise=3.0):
    """Templates far from zero, a label in degrees, and whose they are."""
    rng = np.random.default_rng(seed)
    count, dim = size
    spread = np.geomspace(2.0, 0.1, dim)
    templates = (4 + rng.normal(size=size) * spread).astype(np.float32)
    true = rng.normal(size=dim)
    labels = 30 + templates @ true + noise * rng.normal(size=count)
    return templates, labels, np.arange(count) // 4


def read_by(found, templates):
    weights, intercept = found.reading(0)
    return templates.astype(np.float64) @ weights + intercept


@pytest.mark.parametrize("mode", ["corrected", "paper"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_it_is_the_regression_of_scikit_learn(size, mode):
    templates, labels, people = drawn(size)
    found = regression_direction(templates, labels, people, mode=mode, name="yaw")
    x = templates.astype(np.float64)
    folds = model_selection.PredefinedSplit(people_in_folds(people, len(x)))
    expected = linear_model.LinearRegression().fit(x, labels)
    if mode == "corrected":
        variance = x.var(axis=0).mean()
        search = model_selection.GridSearchCV(
            linear_model.Ridge(),
            {"alpha": np.array(PENALTIES) * variance},
            scoring="neg_mean_squared_error",
            cv=folds,
        ).fit(x, labels)
        expected = search.best_estimator_
        chosen = search.best_params_["alpha"] / variance
        assert found.about["penalty"] == pytest.approx(chosen)
    # the weights are float32
    np.testing.assert_allclose(found.reading(0)[0], expected.coef_, atol=1e-6)
    np.testing.assert_allclose(read_by(found, x), expected.predict(x), rtol=1e-5)
    held_out = np.asarray(
        model_selection.cross_val_predict(expected, x, labels, cv=folds)
    )
    r2 = 1 - np.sum((labels - held_out) ** 2) / np.sum((labels - labels.mean()) ** 2)
    told = found.about["held_out"]
    assert told["r2"] == pytest.approx(r2, abs=1e-5)
    assert told["correlation"] == pytest.approx(np.corrcoef(labels, held_out)[0, 1])


def test_without_jit_it_is_the_same():
    templates, labels, people = drawn()
    found = regression_direction(templates, labels, people, direction="pattern")
    with jax.disable_jit():
        plain = regression_direction(templates, labels, people, direction="pattern")
    np.testing.assert_allclose(found.directions, plain.directions, atol=1e-6)
    np.testing.assert_allclose(found.reading(0)[0], plain.reading(0)[0], atol=1e-6)


@pytest.mark.parametrize("direction", ["coefficients", "pattern"])
def test_the_direction_is_the_coefficients_or_what_templates_do(direction):
    templates, labels, people = drawn()
    found = regression_direction(templates, labels, people, direction=direction)
    expected = found.reading(0)[0]
    if direction == "pattern":
        expected = np.cov(templates.T.astype(np.float64)) @ expected
    expected = expected / np.linalg.norm(expected)
    np.testing.assert_allclose(found.directions[0], expected, atol=1e-5)
    assert found.directions[0] @ found.reading(0)[0] > 0  # towards higher labels
    along = templates @ found.directions[0].astype(np.float64)
    np.testing.assert_allclose(found.scales[0], along.std(ddof=1), rtol=1e-4)


def test_one_cause_in_a_noisy_template_is_found_by_the_pattern():
    """A label that moves one axis, beside noise that the coefficients cancel."""
    rng = np.random.default_rng(0)
    label, noise = rng.normal(size=(2, 300))
    rest = 0.1 * rng.normal(size=(300, 18))
    templates = np.column_stack([label + noise, noise, rest]).astype(np.float32)
    people = np.arange(300) // 4
    found = {
        way: regression_direction(templates, label, people, direction=way).directions[0]
        for way in ("coefficients", "pattern")
    }
    assert found["pattern"][0] > 0.99
    # 300 draws leave a few percent of chance
    assert found["coefficients"][1] == pytest.approx(-np.sqrt(0.5), abs=0.03)


def test_other_units_of_the_label_change_only_the_reading():
    templates, labels, people = drawn()
    found = regression_direction(templates, labels, people)
    other = regression_direction(templates, 1950 + 0.1 * labels, people)
    np.testing.assert_allclose(found.directions, other.directions, atol=1e-6)
    np.testing.assert_allclose(
        found.reading(0)[0] * 0.1, other.reading(0)[0], atol=1e-7
    )
    expected = 1950 + 0.1 * read_by(found, templates)
    np.testing.assert_allclose(read_by(other, templates), expected, atol=1e-4)
    assert found.about["held_out"] == pytest.approx(other.about["held_out"])


def test_least_squares_on_few_templates_repeats_labels_and_reads_no_others():
    templates, labels, people = drawn((60, 100), noise=30.0)
    found = regression_direction(templates, labels, people, mode="paper")
    np.testing.assert_allclose(read_by(found, templates), labels, atol=1e-3)
    assert found.about["penalty"] is None
    ridge = regression_direction(templates, labels, people)
    assert ridge.about["held_out"]["r2"] > found.about["held_out"]["r2"]


def test_a_label_of_people_is_not_read_from_their_other_pictures():
    """Templates tell who it is and nothing else; folds of rows would read the label."""
    rng = np.random.default_rng(0)
    people = np.arange(60) // 4
    templates = rng.normal(size=(15, 100))[people] + 0.1 * rng.normal(size=(60, 100))
    labels = rng.normal(size=15)[people]
    found = regression_direction(templates, labels, people)
    assert found.about["held_out"]["r2"] < 0.2
    rows = regression_direction(templates, labels, np.arange(60))
    assert rows.about["held_out"]["r2"] > 0.9


def test_the_record_tells_what_was_done():
    templates, labels, people = drawn()
    about = regression_direction(
        *(templates, labels, people), name="yaw", penalties=FROM_1000
    ).about
    assert (about["kind"], about["label"]) == ("label_regression", "yaw")
    assert (about["mode"], about["direction"]) == ("corrected", "coefficients")
    assert (about["templates"], about["identities"], about["folds"]) == (300, 75, 5)
    assert about["penalty"] == 1000.0 and about["penalty_is_an_end"]
    assert about["label_mean"] == pytest.approx(labels.mean())
    assert about["label_range"] == [labels.min(), labels.max()]


def test_a_penalty_without_bounds_reads_the_mean():
    templates, labels, people = drawn()
    folds = people_in_folds(people, len(labels))
    penalties = np.geomspace(1e12, 1e13, 13).tolist()
    fit = fit_regression(jnp.asarray(templates), labels, folds, penalties=penalties)
    others = [labels[folds != fold].mean() for fold in folds]
    np.testing.assert_allclose(fit.held_out, others, atol=1e-4)
    assert np.abs(fit.weights).max() < 1e-6


def test_a_file_gives_back_every_bit(tmp_path):
    found = regression_direction(*drawn())
    save_directions(tmp_path / "file", DirectionFile({"yaw": found}, {}, {}))
    back = load_directions(tmp_path / "file").sets["yaw"]
    assert back.about == found.about
    for name in ("directions", "eigenvalues", "mean", "weights", "intercepts"):
        before, after = getattr(found, name), getattr(back, name)
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype
    assert back.intercepts is not None and back.intercepts.dtype == np.float64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.ones(300)}, "the label: is the same in all 300 templates"),
        ({"labels": np.full(300, np.nan)}, "300 of 300 labels are NaN or infinite"),
        ({"templates": np.full((300, 20), np.inf)}, "300 of 300 templates hold NaN"),
        ({"templates": np.full((300, 20), 1.1)}, "the templates are all the same"),
        ({"identities": np.arange(300) % 4}, "4 identities cannot be dealt out to 5"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(change, message):
    given = dict(zip(("templates", "labels", "identities"), drawn(), strict=True))
    with pytest.raises(InputError, match=message):
        regression_direction(**given | change)


def test_callers_mistakes_are_refused():
    templates, labels, people = drawn()
    with pytest.raises(ValueError, match="labels are"):
        regression_direction(templates, labels[:-1], people)
    with pytest.raises(ValueError, match="identities are"):
        regression_direction(templates, labels, people[:-1])
    for penalties in ([], [1.0, 0.0]):
        with pytest.raises(ValueError, match="penalties must be above 0"):
            regression_direction(templates, labels, people, penalties=penalties)
