"""Tables and projections of label directions: each number at the direction it is of."""

import numpy as np

from facedirs_jax import label_charts
from facedirs_jax.directions.boundary import boundary_directions
from facedirs_jax.directions.centroid import centroid_directions
from facedirs_jax.directions.conditional import conditional_directions
from facedirs_jax.directions.record import Directions
from facedirs_jax.directions.regression import regression_direction

VALUES = np.repeat(["calm", "glad", "sad"], 12)
PEOPLE = np.tile(np.arange(12), 3)


def templates():
    """[36, 6]: glad lies along the first axis, sad along the second."""
    found = np.random.default_rng(0).normal(size=(36, 6))
    found[12:24, 0] += 5
    found[24:, 1] += 7
    return found.astype(np.float32)


def moods():
    return centroid_directions(
        templates(), VALUES, neutral="calm", identities=PEOPLE, resamples=20
    )


def test_projections_count_standard_deviations_from_the_mean():
    axes = np.eye(3, dtype=np.float32)[:2]
    mean = np.array([1, 2, 3], np.float32)
    directions = Directions(axes, np.array([4, 9], np.float32), mean, {})
    found = label_charts.projections(directions, np.array([[5, 5, 5], [1, -4, 0]]))
    np.testing.assert_allclose(found, [[2, 1], [0, -2]])
    own = label_charts.projections(moods(), templates())
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(own.std(axis=0, ddof=1), 1, rtol=1e-4)


def test_each_direction_has_a_row_of_its_own_numbers():
    directions = moods()
    glad, sad = label_charts.rows_of("mood", directions)
    assert (glad["direction"], sad["direction"]) == ("mood:glad", "mood:sad")
    assert (glad["counts"], glad["templates"]) == (12, 36)
    assert [glad["lengths"], sad["lengths"]] == directions.about["lengths"]
    assert glad["lengths"] < sad["lengths"]
    turned = [row["degrees_over_people_median"] for row in (glad, sad)]
    assert turned == directions.about["degrees_over_people"]["median"]
    assert glad["standard_deviation"] == float(directions.scales[0])
    assert "labels" not in glad


def test_numbers_of_one_fit_are_in_its_row():
    ages = np.arange(36.0)
    directions = regression_direction(templates(), ages, PEOPLE, name="age")
    (row,) = label_charts.rows_of("age", directions)
    held_out = directions.about["held_out"]
    assert row["direction"] == "age:1"
    assert row["held_out_r2"] == held_out["r2"]
    assert (row["mode"], row["identities"]) == ("corrected", 12)
    assert "label_range" not in row


def test_numbers_of_the_fit_of_each_class_are_in_the_row_of_that_class():
    directions = boundary_directions(templates(), VALUES, PEOPLE)
    rows = label_charts.rows_of("mood", directions)
    assert [row["held_out_auc"] for row in rows] == directions.about["held_out"]["auc"]
    assert [row["direction"] for row in rows] == ["mood:calm", "mood:glad", "mood:sad"]


def test_names_of_what_was_taken_out_are_no_numbers_of_a_row():
    others = np.eye(6, dtype=np.float32)[4:]  # as many as there are directions
    left = conditional_directions(moods(), others, templates(), names=["yaw", "light"])
    assert left.about["without"] == ["yaw", "light"]
    rows = label_charts.rows_of("mood", left)
    assert [row["left"] for row in rows] == left.about["left"]
    assert all("without" not in row for row in rows)
    assert not {"yaw", "light"} & {str(v) for row in rows for v in row.values()}


def test_the_kind_of_directions_is_explained():
    assert label_charts.note_of(moods()).startswith("Difference of mean templates")
    nameless = moods()._replace(about={})
    assert label_charts.note_of(nameless) == ""


def test_charts_have_a_panel_a_direction_and_a_cell_a_pair():
    directions = moods()
    along = label_charts.projections(directions, templates())
    drawn = label_charts.draw_along("mood", VALUES, along)
    assert len(drawn.axes) == 2
    numbers = label_charts.draw_along("age", np.arange(36.0), along)
    assert numbers.axes[0].get_ylabel() == "age"
    cosines = label_charts.draw_cosines("mood", directions)
    shown = np.asarray(cosines.axes[0].images[0].get_array())
    np.testing.assert_allclose(
        shown, directions.directions @ directions.directions.T, atol=1e-6
    )
