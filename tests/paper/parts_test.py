"""Edits and claims of the figures, on templates with all that is asked planted."""

import dataclasses

import numpy as np
import pytest
from planted_subjects import DIM, PROBES, planted, planted_subject

from facedirs_jax.labelled_pictures import LabelledPictures
from facedirs_jax.paper import map_parts, photo_parts, region_parts
from facedirs_jax.paper.attributes import EXPRESSION, LIGHT, POSE
from facedirs_jax.paper.edits import (
    class_directions,
    edit_by_classes,
    edit_by_regression,
    edit_towards,
    label_direction,
)
from facedirs_jax.paper.label_parts import class_part, expression_part, regression_part
from facedirs_jax.paper.map_parts import map_part
from facedirs_jax.paper.region_parts import (
    COLOURS,
    Portraits,
    _correlation,
    _discovered,
    _named,
    blend_part,
    decode_part,
    factors_of,
    region_part,
)

ROUNDING = 1e-5  # float32, of templates a few units long


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(photo_parts, "RESAMPLES", 100)
    monkeypatch.setattr(map_parts, "DRAWS", 50)


@pytest.fixture(scope="module")
def flat(toy):
    """A subject whose templates have any length."""
    return planted_subject(toy, name="flat", noise=0.01)


@pytest.fixture(scope="module")
def round_(toy):
    """A subject whose templates lie on the unit sphere."""
    return planted_subject(toy, name="round", unit_norm=True, noise=0.01)


def verdicts(claims, text):
    """Verdict by network, of the claims whose text begins so."""
    found = {c.network: c.verdict for c in claims if c.claim.startswith(text)}
    assert found
    return found


def test_an_edit_goes_so_many_planted_differences_from_the_probe(toy):
    subject = planted_subject(toy)
    directions = class_directions(subject, EXPRESSION)
    strengths = (0.0, 0.5, 2.0)
    found = edit_towards(subject, directions, "smile", strengths)
    assert found.steps == ("0%", "50%", "200%")
    wanted = subject.probes[:, None] + np.outer(strengths, planted("smile"))
    np.testing.assert_allclose(found.templates, wanted, atol=ROUNDING)
    np.testing.assert_array_equal(found.decodes, subject.decode(found.templates))


def test_an_edit_to_every_class_has_the_probe_in_the_middle(toy):
    subject = planted_subject(toy)
    found = edit_by_classes(subject, POSE, class_directions(subject, POSE))
    assert found.steps == ("-30", "-15", "0", "15", "30")
    added = np.stack([planted(f"yaw{step}") for step in found.steps])
    wanted = subject.probes[:, None] + added
    np.testing.assert_allclose(found.templates, wanted, atol=ROUNDING)
    np.testing.assert_array_equal(found.templates[:, 2], subject.probes)


def test_on_the_sphere_an_edit_is_scaled_back_onto_it(round_):
    rows = round_.rows(POSE, round_.people.directions)
    values = POSE.texts(round_.pictures)[rows]
    means = [round_.templates[rows][values == v].mean(axis=0) for v in ("30", "0")]
    wanted = round_.probes + 1.5 * (means[0] - means[1])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = edit_towards(round_, class_directions(round_, POSE), "30", [1.5])
    np.testing.assert_allclose(found.templates[:, 0], wanted, atol=ROUNDING)


@pytest.mark.parametrize("kind", ["flat", "round_"])
def test_a_corrected_edit_reaches_the_wanted_reading(kind, request):
    subject = request.getfixturevalue(kind)
    direction = label_direction(subject, POSE, "corrected")
    found = edit_by_regression(subject, POSE, direction, "corrected")
    assert found.steps == ("-30", "-15", "0", "15", "30")
    weights, intercept = direction.reading(0)
    read = found.templates.astype(np.float64) @ weights + intercept
    wanted = np.tile([-30.0, -15, 0, 15, 30], (PROBES, 1))
    np.testing.assert_allclose(read, wanted, atol=30 * 1e-4)


def test_what_is_out_of_reach_on_the_sphere_is_unknown_and_white(round_):
    beyond = dataclasses.replace(POSE, values=("15", "9000"))
    direction = label_direction(round_, POSE, "corrected")
    found = edit_by_regression(round_, beyond, direction, "corrected")
    assert np.isfinite(found.templates[:, :2]).all()
    assert np.isnan(found.templates[:, 2]).all()
    assert (found.decodes[:, 2] == 1).all() and (found.decodes[:, :2] < 1).any()


def test_edits_by_classes_follow_where_the_decoder_shows_them(toy, flat, round_):
    blind = planted_subject(toy, name="blind", hidden=[0], noise=0.01)
    part = class_part([flat, blind, round_], POSE, "8")
    assert verdicts(part.claims, "pose can be set") == {
        **{"flat": "holds", "blind": "does not hold", "round": "holds"}
    }
    muted = verdicts(part.claims, "changes are muted")
    assert list(muted) == ["round"]
    assert len(part.sliders) == 3
    assert list(part.sliders[0].captions) == ["-30", "-15", "0", "15", "30"]


def test_expressions_grow_and_show_more_in_the_better_decoder(toy, flat):
    blind = planted_subject(toy, name="blind", hidden=range(2, 7), noise=0.01)
    part = expression_part([flat, blind])
    grows = verdicts(part.claims, "the expression grows")
    assert grows == {"flat": "holds", "blind": "does not hold"}
    assert verdicts(part.claims, "and goes on growing")["flat"] == "holds"
    assert verdicts(part.claims, "the first shows") == {"flat and blind": "holds"}


def test_regressions_reach_the_label_and_show_it_but_for_the_papers_step(flat):
    claims = regression_part([flat]).claims
    for label in ("light", "yaw"):
        assert verdicts(claims, f"the edited template reads the wanted {label}") == {
            **{"flat, paper": "does not hold", "flat, corrected": "holds"}
        }
    for text in ("pose follows", "light follows", "there is an effect on pose"):
        assert verdicts(claims, text)["flat, corrected"] == "holds"


def parted(distance):
    """Templates of 40 people, two each, half of them moved along one axis."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 2)
    positive = people % 2 == 0
    templates = rng.normal(size=(40, 6)).repeat(2, axis=0)
    templates[positive, 3] += distance
    return templates.astype(np.float32), positive, people


def test_a_planted_difference_is_told_and_none_is_not():
    found = photo_parts._told("a direction tells it", *parted(6.0))
    assert found.value.value > 0.98 and found.verdict == "holds"
    chance = photo_parts._told("a direction tells it", *parted(0.0))
    # 40 people: the standard error of an AUC of a half is 0.09.
    assert abs(chance.value.value - 0.5) < 0.2 and chance.verdict != "holds"
    assert chance.value.low < 0.5


def embedding(monkeypatch, axes):
    """Templates of labels instead of pictures; axes: what each adds, by its value."""

    def embedded(pictures, *_):
        rng = np.random.default_rng(0)
        _, owners = np.unique(pictures.identities, return_inverse=True)
        templates = 0.3 * rng.normal(size=(owners.max() + 1, 6))[owners]
        templates += 0.1 * rng.normal(size=templates.shape)
        for axis, (label, added) in enumerate(axes.items()):
            told = pictures.values(label).tolist()
            templates[:, axis] += [added(value) for value in told]
        return templates.astype(np.float32), pictures

    monkeypatch.setattr(photo_parts, "_embedded", embedded)


def test_the_labels_of_the_cmu_faces_are_in_their_names(tmp_path, monkeypatch):
    for person in range(10):
        for pose in ("left", "right", "straight", "up"):
            for eyes in ("open", "sunglasses"):
                (tmp_path / f"p{person}_{pose}_happy_{eyes}.png").touch()
    turn = {"left": -3.0, "right": 3.0, "up": -3.0}  # up must not be among the left
    embedding(monkeypatch, {"pose": lambda v: turn.get(v, 0.0)})
    part = photo_parts.cmu_part(tmp_path, cache_dir=None, processes=1)
    found = {
        claim.claim.removeprefix("a direction tells "): claim.value.value
        for claim in part.claims
    }
    assert found["left against right"] > 0.98
    # Left and right lie on both sides of straight, so that no line parts them from it.
    assert found["turned against straight"] < 0.9
    assert abs(found["sunglasses"] - 0.5) < 0.2  # nothing of them is planted


def test_the_labels_of_the_congress_are_beside_its_portraits(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    rows = ["file,gender,birth_year"]
    for person in range(40):
        name = f"{person:02d}.png"
        (tmp_path / "images" / name).touch()
        year = 1900 + person if person % 8 else ""
        rows.append(f"{name},{'FM'[person % 2]},{year}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    axes = {
        "gender": lambda v: 4.0 * (v == "F"),
        "birth_year": lambda v: np.nan_to_num((v - 1920) / 4),
    }
    embedding(monkeypatch, axes)
    part = photo_parts.congress_part(tmp_path / "images", cache_dir=None, processes=1)
    gender, year = part.claims
    assert gender.value.value > 0.98 and gender.verdict == "holds"
    assert year.value.value > 0.95 and year.verdict == "holds"


def test_the_correlation_is_numpys_of_what_is_known():
    rng = np.random.default_rng(0)
    effects, values = rng.normal(size=(2, 60))
    values = values - 0.8 * effects
    values[::7] = np.nan
    known = np.isfinite(values)
    found = _correlation(effects, values)
    expected = np.corrcoef(effects[known], values[known])[0, 1]
    assert expected < 0
    assert found.value == pytest.approx(-expected, abs=1e-12)
    # Fisher's interval of it; percentiles of draws are near, not the same.
    half = 1.96 / np.sqrt(known.sum() - 3)
    ends = np.tanh(np.arctanh(-expected) + np.array([-half, half]))
    np.testing.assert_allclose([found.low, found.high], ends, atol=0.08)


@pytest.mark.parametrize(
    "values", [[1.0, 2.0, np.nan, np.nan], [3.0, 3.0, 3.0, np.nan]]
)
def test_nothing_goes_with_what_is_unknown_or_the_same(values):
    assert np.isnan(_correlation(np.arange(4.0), np.array(values))).all()


def test_a_component_is_claimed_to_be_a_factor_and_told_what_it_is_most_like():
    rng = np.random.default_rng(0)
    effects = rng.normal(size=50)
    factors = {"nose_length": rng.normal(size=50), "melanin": -effects}
    found = _named(("5", "net"), 0, "nose_length", effects, factors)
    assert found.claim == "component 1 is nose length"
    assert found.verdict == "does not hold"
    assert found.note == "most like melanin (1.00)"
    unknown = _named(("5", "net"), 0, "nose_length", effects, {})
    assert (unknown.verdict, unknown.note) == ("cannot be said", "factors unknown")


def test_regions_of_others_change_nothing_outside(flat, toy_faces):
    part = blend_part(flat, Portraits(toy_faces, {}), shown=3)
    assert part.claims[0].verdict == "holds" and part.claims[0].value.value <= 1e-6


def test_the_effects_of_region_donors_are_held_against_their_own_factors(
    flat, toy_faces
):
    effects, donors = _discovered(flat, toy_faces, "nose", "none")
    values = np.full(len(toy_faces.crops), np.nan)
    values[donors] = effects.effects[:, 0]
    portraits = {"flat": Portraits(toy_faces, {"nose_length": values})}
    part = region_part("nose", [flat], portraits)
    first = {c.network: c for c in part.claims if c.claim.startswith("component 1 ")}
    assert first["flat"].value.value == pytest.approx(1, abs=1e-6)
    assert list(first) == ["flat", "flat, colours matched"]
    assert len(part.sliders) == 3 * len(COLOURS)


@pytest.mark.parametrize(("side", "verdict"), [(1, "holds"), (-1, "does not hold")])
def test_decodes_are_held_against_the_templates_that_were_decoded(
    flat, monkeypatch, side, verdict
):
    centre = flat.templates.mean(axis=0, keepdims=True)
    again = centre + 3 * side * (flat.probes - centre)
    monkeypatch.setattr(region_parts, "embed_again", lambda *_: again)
    (claim,) = decode_part([flat]).claims
    assert claim.value.value == pytest.approx(side, abs=1e-5)
    assert claim.verdict == verdict


def test_the_factors_of_portraits_are_numbers_that_vary():
    columns = {
        "nose_length": np.array([0.1, 0.2, 0.3]),
        "yaw": np.zeros(3),
        "person_detail": np.array([1.0, 2.0, 3.0]),
        "facial_hair": np.array(["none", "beard", "none"]),
        "facial_hair_amount": np.array([0.5, 0.6, 0.7]),
        "iris": np.array(["brown", "grey", "brown"]),
        "split": np.array(["train", "train", "test"]),
    }
    people = np.array(["a", "b", "c"])
    found = factors_of(LabelledPictures((), (), people, columns))
    assert set(found) == {"nose_length", "facial_hair_amount", "iris_lightness"}
    np.testing.assert_array_equal(found["facial_hair_amount"], [0, 0.6, 0])
    low, high = found["iris_lightness"][:2]
    assert low < high and found["iris_lightness"][2] == low
    assert factors_of(LabelledPictures((), (), people, {})) == {}


def curved(toy, places, *, name="net"):
    """A subject whose light leads along a curve, in order; places: [13, 2]."""
    subject = planted_subject(toy, name=name, noise=0.02)
    lights = sorted(float(value) for value in (*LIGHT.values, LIGHT.neutral))
    templates, rows = subject.templates.copy(), LIGHT.rows(subject.pictures)
    of = [lights.index(v) for v in subject.pictures.values("light")[rows]]
    noise = np.random.default_rng(3).normal(size=(len(rows), DIM))
    templates[rows, :2] = 3 * places[of]
    templates[rows] += 0.05 * noise
    return subject._replace(templates=templates.astype(np.float32))


LINE = np.stack([np.linspace(-1, 1, 13), np.zeros(13)], axis=1)


def arc(degrees):
    angles = np.radians(np.linspace(0, degrees, 13))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_maps_of_planted_curves_are_judged(toy):
    shapes = {"ring": arc(330), "arc": arc(200), "line": LINE}
    subjects = [curved(toy, places, name=name) for name, places in shapes.items()]
    part = map_part(subjects, LIGHT, "11")
    bent = verdicts(part.claims, "the path is bent")
    assert bent == {"ring": "holds", "arc": "holds", "line": "does not hold"}
    closed = verdicts(part.claims, "the path closes")
    assert closed["ring"] == "holds" and closed["line"] == "does not hold"
    alike = verdicts(part.claims, "both networks place light alike")
    assert alike["ring and line"] == "does not hold"
    assert len(part.claims) == 3 + 3 + 3


def test_numbers_are_joined_from_low_to_high():
    assert map_parts._in_order(POSE) == ["-30", "-15", "0", "15", "30"]
    assert map_parts._in_order(LIGHT) == [str(angle) for angle in range(-90, 91, 15)]
    assert map_parts._in_order(EXPRESSION) == [*EXPRESSION.values, "frontal"]


def test_the_same_curve_turned_is_placed_alike(toy):
    one = curved(toy, arc(200), name="one")
    turned = np.linalg.qr(np.random.default_rng(5).normal(size=(DIM, DIM)))[0]
    templates = (2 * one.templates @ turned).astype(np.float32)
    other = one._replace(name="other", templates=templates)
    drawn = [
        map_parts._drawn_maps(subject, LIGHT, map_parts._in_order(LIGHT))
        for subject in (one, other)
    ]
    assert drawn[0].shape == (51, 13, 2)
    assert map_parts._disparities(drawn[1], drawn[0]).max() < 1e-4


def test_softmax_networks_that_are_alike_and_unlike_the_third_bear_the_loss_out(toy):
    flat = [curved(toy, arc(200), name=name) for name in ("first", "second")]
    third = curved(toy, LINE, name="third")
    preprocess = dataclasses.replace(toy.preprocess, unit_norm=True)
    third = third._replace(backbone=third.backbone._replace(preprocess=preprocess))
    values = map_parts._in_order(LIGHT)
    drawn = {s.name: map_parts._drawn_maps(s, LIGHT, values) for s in (*flat, third)}
    (claim,) = map_parts._loss_over_backbone([*flat, third], drawn, "11")
    assert claim.verdict == "holds" and claim.value.value < -0.05
    assert map_parts._loss_over_backbone(flat, drawn, "11") == []
