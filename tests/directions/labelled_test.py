"""What all label directions refuse, and the sums and folds that they share."""

import jax.numpy as jnp
import numpy as np
import pytest

from facedirs_jax.directions import labelled
from facedirs_jax.errors import InputError


def test_templates_are_float32_and_finite():
    found = labelled.as_templates(np.ones((3, 2)))
    assert found.dtype == jnp.float32 and found.shape == (3, 2)
    for wrong in (np.nan, np.inf, -np.inf):
        templates = np.ones((4, 2))
        templates[2:, 1] = wrong
        with pytest.raises(InputError, match=r"2 of 4 templates hold NaN .* in row 2"):
            labelled.as_templates(templates)
    with pytest.raises(ValueError, match="rank"):
        labelled.as_templates(np.ones(3))


@pytest.mark.parametrize("classes", [["b", "a", "b", "a"], [7, 2, 7, 2]])
def test_classes_are_in_the_order_of_their_values(classes):
    found = labelled.as_classes(classes, 4)
    assert found.values == sorted(set(classes))
    assert found.codes.tolist() == [1, 0, 1, 0] and found.counts.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a"] * 4, r"all 4 templates are of one class \(a\)"),
        (["a", "b", "a", "a"], r"only one template has the class b \(1 of 2"),
        (["a", "b", "c", "d"], "only one template has the class a, b, c, d"),
        (["a", "", "b", ""], "2 of 4 templates is unknown"),
    ],
)
def test_classes_that_show_no_direction_are_refused(classes, message):
    with pytest.raises(InputError, match=message):
        labelled.as_classes(classes, 4)


def test_classes_are_words_or_whole_numbers_one_a_template():
    with pytest.raises(ValueError, match="not float64"):
        labelled.as_classes([0.5, 0.5, 1.0, 1.0], 4)
    with pytest.raises(ValueError, match=r"classes are \[3\] for 4"):
        labelled.as_classes(["a", "a", "b"], 4)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1.0, np.nan, 2.0, 3.0], "yaw: 1 of 4 labels are NaN or infinite"),
        ([1.0, np.inf, -np.inf, 3.0], "yaw: 2 of 4 labels are NaN or infinite"),
        ([5.0] * 4, "yaw: is the same in all 4 templates"),
    ],
)
def test_labels_that_tell_nothing_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        labelled.as_labels(labels, 4, "yaw")
    with pytest.raises(ValueError, match=r"labels are \[4, 1\] for 4"):
        labelled.as_labels(np.ones((4, 1)), 4, "yaw")


def test_nobody_is_in_two_folds_and_folds_are_even():
    people = np.random.default_rng(0).integers(0, 23, 200)
    folds = labelled.people_in_folds(people, 200, folds=4, seed=3)
    held = {fold: set(people[folds == fold]) for fold in range(4)}
    assert sorted(map(len, held.values())) == [5, 6, 6, 6]
    assert len(set.union(*held.values())) == 23
    again = labelled.people_in_folds(people.astype(str), 200, folds=4, seed=3)
    assert len({(a, b) for a, b in zip(people, again, strict=True)}) == 23
    assert (folds != labelled.people_in_folds(people, 200, folds=4, seed=4)).any()


def test_too_few_people_or_folds_are_refused():
    with pytest.raises(InputError, match="3 identities cannot be dealt out to 4 folds"):
        labelled.people_in_folds([1, 1, 2, 3], 4, folds=4)
    with pytest.raises(ValueError, match="2 folds or more, got 1"):
        labelled.people_in_folds([1, 1, 2, 3], 4, folds=1)
    with pytest.raises(ValueError, match=r"identities are \[2\] for 4"):
        labelled.people_in_folds([1, 2], 4)


def test_sums_lose_little_to_float32():
    rng = np.random.default_rng(0)
    templates = (100 + rng.normal(size=(20_000, 3))).astype(np.float32)
    codes = rng.integers(0, 4, 20_000).astype(np.int32)
    found = labelled.sums_by_code(jnp.asarray(templates), jnp.asarray(codes), 4)
    exact = [templates[codes == c].sum(axis=0, dtype=np.float64) for c in range(4)]
    # rounding of 500 000 is 0.03; of 5 000 sums in a row, 2
    np.testing.assert_allclose(found, exact, atol=0.2)


def test_the_record_counts_standard_deviations_of_the_templates():
    rng = np.random.default_rng(0)
    templates = (5 + rng.normal(size=(50, 4))).astype(np.float32)
    rows = np.linalg.qr(rng.normal(size=(4, 4)))[0][:2].astype(np.float32)
    found = labelled.record_of(jnp.asarray(templates), rows, {"kind": "test"})
    np.testing.assert_allclose(
        found.scales, (templates @ rows.T).std(axis=0, ddof=1), rtol=1e-4
    )
    np.testing.assert_allclose(found.mean, templates.mean(axis=0), rtol=1e-6)
    assert found.weights is None and found.about == {"kind": "test"}


def test_a_direction_without_length_is_refused():
    rows = labelled.unit_rows(np.array([[3.0, 4.0]]), ["a"])
    np.testing.assert_allclose(rows, [[0.6, 0.8]], rtol=1e-6)
    with pytest.raises(InputError, match="b: the templates do not vary with it"):
        labelled.unit_rows(np.array([[1.0, 2.0], [0.0, 0.0]]), ["a", "b"])
