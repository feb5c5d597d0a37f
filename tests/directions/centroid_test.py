"""Oracle: means and their differences by plain numpy."""

import jax
import numpy as np
import pytest

from facedirs_jax.directions.centroid import centroid_directions, resampled_degrees
from facedirs_jax.directions.record import (
    DirectionFile,
    load_directions,
    save_directions,
)
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bootstrap import identity_weights

WORDS = np.array(["laugh", "neutral", "scream"])


def drawn(seed=0, *, count=240, dim=12, people=20):
    """Templates, words and whose they are; the words shift the templates."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(count) % 3)
    templates = 3 + rng.normal(size=(count, dim)) + rng.normal(size=(3, dim))[codes]
    return templates.astype(np.float32), WORDS[codes], np.arange(count) % people


def mean_of(templates, kept):
    return templates[kept].astype(np.float64).mean(axis=0)


def differences(templates, words, neutral, baseline):
    found = []
    for word in WORDS:
        if word == neutral:
            continue
        other = words == neutral
        if neutral is None:
            other = words != word if baseline == "rest" else np.full(len(words), True)
        found.append(mean_of(templates, words == word) - mean_of(templates, other))
    return np.stack(found)


@pytest.mark.parametrize(
    ("neutral", "baseline", "told"),
    [
        ("neutral", "rest", "neutral"),
        ("laugh", "all", "neutral"),
        (None, "rest", "rest"),
        (None, "all", "all"),
    ],
)
def test_directions_are_differences_of_means(neutral, baseline, told):
    templates, words, _ = drawn()
    found = centroid_directions(templates, words, neutral=neutral, baseline=baseline)
    expected = differences(templates, words, neutral, baseline)
    lengths = np.array(found.about["lengths"])[:, None]
    np.testing.assert_allclose(found.directions * lengths, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.directions, axis=1), 1, atol=1e-6)
    labels = [word for word in WORDS if word != neutral]
    assert found.about["labels"] == labels
    assert found.about["counts"] == [80] * len(labels)
    assert (found.about["kind"], found.about["baseline"]) == ("label_centroid", told)
    assert found.about["neutral_count"] == (80 if neutral else None)
    assert found.weights is None
    along = templates.astype(np.float64) @ found.directions.T
    np.testing.assert_allclose(found.scales, along.std(axis=0, ddof=1), rtol=1e-4)


def test_the_whole_difference_leads_from_neutral_to_the_class():
    templates, words, _ = drawn()
    found = centroid_directions(templates, words, neutral="neutral")
    start = mean_of(templates, words == "neutral")
    for row, length, word in zip(
        found.directions, found.about["lengths"], found.about["labels"], strict=True
    ):
        end = mean_of(templates, words == word)
        np.testing.assert_allclose(start + length * row, end, atol=1e-5)


def test_whole_numbers_are_classes_too_and_a_shift_changes_nothing():
    templates, words, _ = drawn()
    degrees = np.select([words == "laugh", words == "scream"], [-15, 15], 0)
    by_number = centroid_directions(templates, degrees, neutral=0)
    assert by_number.about["labels"] == [-15, 15] and by_number.about["neutral"] == 0
    by_word = centroid_directions(templates + 8, words, neutral="neutral")
    np.testing.assert_allclose(by_number.directions, by_word.directions, atol=1e-5)


def test_without_jit_it_is_the_same():
    templates, words, people = drawn()
    settings = {"neutral": "neutral", "resamples": 7}
    found = centroid_directions(templates, words, identities=people, **settings)
    with jax.disable_jit():
        plain = centroid_directions(templates, words, identities=people, **settings)
    np.testing.assert_allclose(found.directions, plain.directions, atol=1e-6)
    for name, degrees in found.about["degrees_over_people"].items():
        again = plain.about["degrees_over_people"][name]
        assert degrees == pytest.approx(again, abs=0.05)  # float32 near a cosine of 1


@pytest.mark.parametrize(("neutral", "baseline"), [("neutral", "rest"), (None, "rest")])
def test_angles_over_people_are_those_of_drawing_their_templates(neutral, baseline):
    templates, words, people = drawn(people=9)
    found = resampled_degrees(
        *(templates, words, people), neutral=neutral, baseline=baseline, resamples=60
    )
    own = differences(templates, words, neutral, baseline)
    for weights, degrees in zip(identity_weights(9, resamples=60), found, strict=True):
        rows = np.repeat(np.arange(len(words)), weights.astype(int)[people])
        other = differences(templates[rows], words[rows], neutral, baseline)
        products = np.sum(own * other, axis=1)
        cosines = products / np.linalg.norm(own, axis=1) / np.linalg.norm(other, axis=1)
        # float32 near a cosine of 1
        np.testing.assert_allclose(degrees, np.rad2deg(np.arccos(cosines)), atol=0.05)


def test_more_people_give_steadier_directions():
    few, many = (drawn(count=n, people=n // 6) for n in (120, 3000))
    spread = [
        np.median(resampled_degrees(*data, neutral="neutral", resamples=100))
        for data in (few, many)
    ]
    assert spread[1] < spread[0] / 3  # 5 if nothing but the number counts


def test_a_draw_without_a_class_has_no_angle_and_is_left_out():
    templates, words, _ = drawn()
    people = np.where(words == "laugh", 0, 1 + np.arange(len(words)) % 4)
    degrees = resampled_degrees(
        templates, words, people, neutral="neutral", resamples=50
    )
    missing = identity_weights(5, resamples=50)[:, 0] == 0
    np.testing.assert_array_equal(np.isnan(degrees[:, 0]), missing)
    assert np.isfinite(degrees[:, 1]).all() and missing.any()
    found = centroid_directions(
        templates, words, neutral="neutral", identities=people, resamples=50
    )
    told = found.about["degrees_over_people"]
    assert told["high"] == pytest.approx(
        np.nanpercentile(degrees, 95, axis=0), abs=0.01
    )


def test_a_file_gives_back_every_bit(tmp_path):
    templates, words, people = drawn()
    found = centroid_directions(
        templates, words, neutral="neutral", identities=people, resamples=5
    )
    save_directions(tmp_path / "file", DirectionFile({"mood": found}, {}, {}))
    back = load_directions(tmp_path / "file").sets["mood"]
    for before, after in zip(found[:3], back[:3], strict=True):
        np.testing.assert_array_equal(before, after)
    assert back.about == found.about and back.weights is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"neutral": "calm"},
            "no template is of the neutral class 'calm'; .*laugh, ne",
        ),
        ({"classes": ["a"] * 240}, "one class"),
        ({"classes": ["b"] + ["a"] * 239}, "only one template has the class b"),
        ({"templates": np.full((240, 12), np.nan)}, "240 of 240 templates hold NaN"),
        (
            {"templates": np.full((240, 12), 1.1)},
            "laugh: the templates do not vary with it",
        ),
        ({"identities": np.zeros(240)}, "one identity only"),
    ],
)
def test_what_gives_no_direction_is_refused(change, message):
    templates, words, people = drawn()
    given = {"templates": templates, "classes": words, "neutral": "neutral"}
    if "classes" in change:
        given["neutral"] = None
    with pytest.raises(InputError, match=message):
        centroid_directions(**given | {"identities": people} | change)


def test_shapes_that_do_not_agree_are_refused():
    templates, words, people = drawn()
    with pytest.raises(ValueError, match="for 240 templates"):
        centroid_directions(templates, words[:-1])
    with pytest.raises(ValueError, match="rank"):
        centroid_directions(templates[0], words)
    with pytest.raises(ValueError, match="identities"):
        centroid_directions(templates, words, identities=people[:-1])
