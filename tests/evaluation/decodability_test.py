"""What is planted in templates is read from them, on people never seen."""

import numpy as np
import pytest
from sklearn import metrics

from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import correlations, decodability


def planted(num_identities=120, pictures=2, noise=0.5, dim=12, seed=0):
    """Templates [N, dim], a number that they hold but for noise, and identities."""
    rng = np.random.default_rng(seed)
    identities = np.repeat(np.arange(num_identities), pictures)
    templates = rng.normal(size=(len(identities), dim)).astype(np.float32)
    values = 30 + 8 * (templates[:, 2] + noise * rng.normal(size=len(identities)))
    return templates, values, identities


def test_a_planted_number_is_read_as_well_as_its_noise_allows():
    templates, values, identities = planted(600, noise=0.5)
    found = decodability.read_number(
        templates, values, identities, train_identities=400
    )
    assert (found.train_identities, found.test_identities) == (400, 200)
    assert (found.train_templates, found.test_templates) == (800, 400)
    assert found.r2.low < 1 / 1.25 < found.r2.high  # signal 1, noise 0.25
    assert found.correlation.low < np.sqrt(1 / 1.25) < found.correlation.high
    assert found.r2.high - found.r2.low < 0.15


def test_scores_are_those_of_scikit_learn(monkeypatch):
    seen = {}
    fit = decodability._fit

    def spy(search, split):
        fit(search, split)
        seen.update(truth=split.test_values, read=search.predict(split.test))

    monkeypatch.setattr(decodability, "_fit", spy)
    found = decodability.read_number(*planted())
    assert found.r2.value == pytest.approx(
        metrics.r2_score(seen["truth"], seen["read"])
    )
    expected = np.corrcoef(seen["truth"], seen["read"])[0, 1]
    assert found.correlation.value == pytest.approx(expected)
    templates, values, identities = planted()
    words = np.where(values > 30, "above", "below")
    word = decodability.read_word(templates, words, identities)
    expected = metrics.accuracy_score(seen["truth"], seen["read"])
    assert word.accuracy.value == pytest.approx(expected)


def test_unit_and_origin_of_templates_and_values_do_not_matter():
    templates, values, identities = planted()
    first = decodability.read_number(templates, values, identities)
    again = decodability.read_number(
        0.01 * templates + 3, -5 * values + 1000, identities
    )
    # float32 templates around 3 are known to 2e-7, of a spread of 0.01
    np.testing.assert_allclose(again.r2, first.r2, atol=1e-4)
    np.testing.assert_allclose(again.correlation, first.correlation, atol=1e-4)


def test_noise_is_not_read():
    templates, values, identities = planted(300)
    values = np.random.default_rng(5).permutation(values)
    found = decodability.read_number(templates, values, identities)
    assert found.r2.value < 0.05 and abs(found.correlation.value) < 0.3  # 3 sd of 100
    words = np.where(values > np.median(values), "above", "below")
    word = decodability.read_word(templates, words, identities)
    assert word.accuracy.low < 0.5 < word.accuracy.high


def test_what_only_tells_people_apart_is_not_read_from_people_never_seen():
    """Each person has a number of their own, which is not in the template."""
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(60), 10)
    templates = rng.normal(size=(60, 80))[identities] + 0.01 * rng.normal(
        size=(600, 80)
    )
    found = decodability.read_number(templates, rng.random(60)[identities], identities)
    assert found.r2.value < 0.2 and found.penalty >= 100


def test_intervals_come_from_people_not_pictures():
    templates, values, identities = planted(60, pictures=1)
    spans = []
    for copies in (1, 8):
        found = decodability.read_number(
            templates.repeat(copies, axis=0),
            values.repeat(copies),
            identities.repeat(copies),
        )
        spans.append(found.correlation.high - found.correlation.low)
    assert spans[1] > 0.8 * spans[0]  # an eighth of the variance would be 0.35


def test_words_are_read_and_chance_is_told():
    templates, values, identities = planted(200, noise=0.0)
    words = np.array(["low", "mid", "high"])[np.digitize(values, [24, 36])]
    names = np.array([f"person {number}" for number in identities])
    found = decodability.read_word(templates, words, names)
    assert found.accuracy.low > 0.8 and found.chance < 0.7
    assert found.accuracy.low <= found.accuracy.value <= found.accuracy.high
    assert (found.train_identities, found.test_identities) == (133, 67)
    assert found == decodability.read_word(templates, words, names)
    assert found != decodability.read_word(templates, words, names, seed=1)


def test_words_that_training_never_saw_count_as_missed():
    templates, _, identities = planted(40)
    words = np.array([f"word of {number}" for number in identities])
    found = decodability.read_word(templates, words, identities)
    assert found.accuracy == (0, 0, 0) and found.chance == 0


@pytest.mark.parametrize("read", [decodability.read_number, decodability.read_word])
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t, v, i: (t, np.ones_like(v), i), "age: is 1.0 in every face to fit"),
        (lambda t, v, i: (t, v, i % 12), "age: 12 identities, of which 8 to fit on"),
        (lambda t, v, i: (np.full_like(t, np.nan), v, i), "age: a template holds NaN"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(read, change, complaint):
    with pytest.raises(InputError, match=complaint):
        read(*change(*planted()), name="age")


def test_unknown_numbers_and_other_shapes_are_refused():
    templates, values, identities = planted()
    with pytest.raises(ValueError, match=r"must be .N, D., .N. and .N."):
        decodability.read_number(templates, values[1:], identities)
    with pytest.raises(InputError, match="120 identities, of which 115 to fit on"):
        decodability.read_number(templates, values, identities, train_identities=115)
    values[7] = np.nan
    with pytest.raises(InputError, match="age: 1 of 240 values are NaN"):
        decodability.read_number(templates, values, identities, name="age")


def table():
    rng = np.random.default_rng(0)
    age, noise = rng.normal(size=(2, 500))
    return {
        "age": age,
        "wrinkles": 0.6 * age + 0.8 * noise,
        "yaw": rng.normal(size=500),
        "beard": np.where(age < -1, "none", "full"),
    }


def test_correlations_are_those_of_numpy_and_words_count_too():
    columns = correlations.as_numbers(table())
    assert list(columns) == ["age", "wrinkles", "yaw", "beard=full", "beard=none"]
    matrix = correlations.correlation_matrix(columns)
    expected = np.corrcoef(np.stack(list(columns.values())))
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    found = correlations.correlated_above(list(columns), matrix, 0.1)
    strengths = [abs(pair.correlation) for pair in found]
    assert strengths == sorted(strengths, reverse=True) and min(strengths) > 0.1
    by_names = {(pair.first, pair.second): pair.correlation for pair in found}
    assert by_names["age", "wrinkles"] == pytest.approx(0.6, abs=0.1)
    assert by_names["beard=full", "beard=none"] == pytest.approx(-1)
    assert not any("yaw" in names for names in by_names)
    assert correlations.correlated_above(list(columns), matrix, 1.0) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"yaw": np.zeros(500)}, "yaw: is 0 in every row; leave it out"),
        ({"yaw": np.full(500, np.nan)}, "yaw: holds NaN"),
    ],
)
def test_columns_without_a_correlation_are_refused(change, complaint):
    with pytest.raises(InputError, match=complaint):
        correlations.correlation_matrix(correlations.as_numbers(table()) | change)
    with pytest.raises(InputError, match="a column and 3 rows"):
        correlations.correlation_matrix({})
