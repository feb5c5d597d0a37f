"""Networks side by side agree with scikit-learn and plain loops, on the same pairs."""

import itertools
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import distance
from sklearn import metrics

from facedirs_jax import network_checks
from facedirs_jax.checks import Draws
from facedirs_jax.compared_pictures import (
    PictureFolder,
    picture_set,
    read_folders,
)
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation import roc
from facedirs_jax.evaluation.carried_thresholds import (
    far_thresholds,
    impostor_cells,
    pair_weights,
)
from facedirs_jax.evaluation.network_comparison import contenders_of
from facedirs_jax.evaluation.verification import Pairs, compared_pairs
from facedirs_jax.faces import FaceStatus
from facedirs_jax.rendering.factor_table import FactorTable, write_factor_table
from facedirs_jax.tables import Estimate

CONDITIONS = ("frontal", "yaw+15", "smile")
DRAWS = Draws(resamples=40)


def templates_of(people, *, spread, seed=0, dim=8):
    """Templates [N, dim] around one centre a person, which is no unit vector."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people.max() + 1, dim))[people]
    return (centres + spread * rng.normal(size=centres.shape)).astype(np.float32)


def pictures(num_people=12, conditions=CONDITIONS, missing=(), copies=()):
    """Pictures of people under conditions, as one network of two distances sees them,
    and one of unit length that lacks some templates."""
    people = np.repeat(np.arange(num_people), len(conditions))
    folder = PictureFolder(
        "people", [], people.astype(str), np.array(conditions * num_people), ""
    )
    other = templates_of(people, spread=1.2, seed=1)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    other[list(missing)] = np.nan
    contenders = [
        *contenders_of("one", templates_of(people, spread=0.8)),
        *contenders_of("other", other, unit_norm=True),
    ]
    status = [
        FaceStatus(str(n), "no_face" if n in missing else "ok", sha256=str(n))
        for n in range(len(people))
    ]
    for copy in copies:
        status[copy] = status[copy]._replace(sha256=status[copy - 1].sha256)
    return picture_set(folder, contenders, status)


def test_pooled_rates_are_scikit_learns_on_the_pairs_that_all_networks_have():
    found = pictures(missing=(3, 7))
    pairs = network_checks.frontal_pairs(found)
    rows = network_checks.check_frontal(found, pairs, DRAWS).section.rows
    kinds: dict[str, Literal["euclidean", "cosine"]]
    kinds = {"one": "euclidean", "one (cosine)": "cosine", "other": "cosine"}
    assert [row["network"] for row in rows] == list(kinds)
    kept = np.setdiff1d(np.arange(36), (3, 7))
    people, frontal = kept // 3, kept % 3 == 0
    same = people[frontal][:, None] == people[~frontal][None]
    for row, each in zip(rows, found.contenders, strict=True):
        templates, kind = each.templates[kept], kinds[each.name]
        apart = distance.cdist(templates[frontal], templates[~frontal], kind)
        expected = metrics.roc_auc_score(same.ravel(), -apart.ravel())
        assert isinstance(row["auc"], Estimate)
        assert row["auc"].value == pytest.approx(expected, abs=1e-6)
        every = distance.pdist(templates, kind)
        twice = distance.pdist(people[:, None]) == 0
        every_auc = metrics.roc_auc_score(twice, -every)
        assert isinstance(row["auc_all_with_all"], Estimate)
        assert row["auc_all_with_all"].value == pytest.approx(every_auc, abs=1e-6)
        assert row["genuine_pairs"] == same.sum()
        assert row["impostor_pairs"] == (~same).sum()


def test_all_networks_lose_the_pictures_that_one_has_not():
    found = pictures(missing=(3, 7), copies=(11,))
    assert np.flatnonzero(~found.usable).tolist() == [3, 7, 11]
    assert "33 of 12 people are compared" in found.left_out
    assert found.left_out.endswith("2 no_face, 1 copy.")
    pairs = network_checks.all_pairs(found)
    first, *others = pairs.values()
    assert len(first.distances) == 33 * 32 // 2
    for other in others:
        np.testing.assert_array_equal(first.first, other.first)
        np.testing.assert_array_equal(first.second, other.second)


def test_a_condition_has_a_row_and_a_network_a_column():
    smiles = range(2, 36, 3)
    rows = network_checks.check_conditions(pictures(missing=(1,)), DRAWS).section.rows
    assert [row["condition"] for row in rows] == ["yaw+15", "smile"]
    assert [row["probes"] for row in rows] == [11, 12]
    assert [row["left_out"] for row in rows] == [1, 0]
    for row in rows:
        rates = [row[name] for name in ("one", "one (cosine)", "other")]
        assert all(isinstance(rate, Estimate) and rate.low >= 0 for rate in rates)
    rows = network_checks.check_conditions(pictures(missing=smiles), DRAWS).section.rows
    assert "0 probes" in str(rows[1]["note"]) and "one" not in rows[1]


def two_sets():
    """Pairs of two sets of people; the impostors of the second lie farther apart."""
    here, there = np.repeat(np.arange(15), 4), np.arange(30)
    near = compared_pairs(templates_of(here, spread=0.5), here)
    return near, compared_pairs(1.2 * templates_of(there, spread=1.0, seed=5), there)


@pytest.mark.parametrize("far", [0.1, 0.01])
def test_an_accepted_share_is_that_of_a_plain_loop(far):
    near, wide = two_sets()
    assert not wide.same.any()
    threshold, impostors = -np.inf, np.sort(near.distances[~near.same])
    for candidate in sorted(near.distances.tolist()):
        if sum(apart <= candidate for apart in impostors) <= far * len(impostors):
            threshold = candidate
    accepted = sum(bool(apart <= threshold) for apart in wide.distances)
    levels = far_thresholds(near, fars=(far,), resamples=60)
    assert levels.shape == (61, 1) and levels[0, 0] == threshold
    cells = impostor_cells(wide, levels, fars=(far,), seed=1)
    share, times = cells[f"accepted_at_far_{far:g}"], cells[f"times_far_{far:g}"]
    assert isinstance(share, Estimate) and isinstance(times, Estimate)
    assert share.value == pytest.approx(accepted / len(wide.distances))
    assert share.low <= share.value <= share.high
    assert times.value == pytest.approx(share.value / far)
    assert isinstance(mean := cells["mean"], Estimate)
    assert mean.value == pytest.approx(wide.distances.mean(), rel=1e-6)
    assert isinstance(std := cells["std"], Estimate)
    assert std.value == pytest.approx(wide.distances.std(), rel=1e-6)


def test_a_threshold_keeps_to_its_rate_where_it_was_chosen():
    near, _ = two_sets()
    cells = impostor_cells(near, far_thresholds(near, fars=(0.05,)), fars=(0.05,))
    assert isinstance(share := cells["accepted_at_far_0.05"], Estimate)
    assert 0.04 < share.value <= 0.05
    assert cells["identities"] == 15


def test_a_person_drawn_twice_counts_as_two():
    near, _ = two_sets()
    drawn = np.random.default_rng(0).multinomial(15, [1 / 15] * 15).astype(float)
    weights = pair_weights(near, drawn)
    repeated = np.repeat(np.arange(len(weights)), weights.astype(int))
    for place, (one, two) in enumerate(zip(near.first, near.second, strict=True)):
        times = drawn[one] if one == two else drawn[one] * drawn[two]
        assert weights[place] == times
    curve = roc.roc_curve(near.distances[repeated], near.same[repeated])
    ascending = np.sort(near.distances)
    order = np.argsort(near.distances, kind="stable")
    genuine = weights[order] * near.same[order]
    weighted = roc.weighted_roc_curve(ascending, genuine, weights[order] - genuine)
    for far in (0.3, 0.02):
        assert roc.tar_at_far(curve, far) == pytest.approx(
            roc.tar_at_far(weighted, far), abs=1e-12
        )
        at = roc.threshold_at_far(weighted, far)
        refused = curve.thresholds[curve.far > far].min()
        assert roc.threshold_at_far(curve, far) <= at < refused


def test_a_rate_too_low_for_the_pairs_has_no_threshold():
    few = Pairs(
        np.array([0.1, 0.5, 0.6], np.float32),
        np.array([0, 0, 1]),
        np.array([0, 1, 2]),
        3,
    )
    levels = far_thresholds(few, fars=(0.5, 0.01), resamples=5)
    assert levels[0, 0] == pytest.approx(0.5) and np.isnan(levels[:, 1]).all()
    cells = impostor_cells(two_sets()[1], levels, fars=(0.5, 0.01))
    assert cells["accepted_at_far_0.01"] is None and cells["times_far_0.01"] is None
    with pytest.raises(InputError, match="cannot be seen in 2 impostor pairs"):
        roc.threshold_at_far(roc.roc_curve(few.distances, few.same), 0.01)


def test_thresholds_are_tried_where_they_were_not_chosen():
    found = pictures()
    chosen = network_checks.reference(
        "people", network_checks.frontal_pairs(found), DRAWS
    )
    photos = pictures(20, ("",))
    pairs = network_checks.all_pairs(photos)
    assert not network_checks.has_genuine(pairs)
    name, section, drawn = network_checks.check_impostors(photos, pairs, chosen, DRAWS)
    assert (name, {*drawn}) == ("people_impostors", {"distances", "times_far"})
    assert "intervals come from people of both sets" in section.note
    for row in section.rows:
        assert row["impostor_pairs"] == 190 and row["mean_in_people"]
        assert isinstance(row["accepted_at_far_0.01"], Estimate)
        assert row["accepted_at_far_0.001"] is None  # of 264 impostor pairs
    _, alone, drawn = network_checks.check_impostors(photos, pairs, None, DRAWS)
    assert list(alone.rows[0])[-2:] == ["mean", "std"] and {*drawn} == {"distances"}


def test_too_few_people_or_no_frontal_face_are_refused_by_name():
    with pytest.raises(InputError, match=r"people: 3 of 36 .* of 1 people; give pict"):
        pictures(missing=range(3, 36))
    with pytest.raises(
        InputError, match=r"people: no face was found in any .*'frontal'"
    ):
        pictures(missing=range(0, 36, 3))
    alone = pictures(3, missing=(1, 2, 4, 5, 6, 7))  # each is seen once
    with pytest.raises(InputError, match="people: none of the 2 pairs is genuine"):
        network_checks.frontal_pairs(alone)


@pytest.fixture
def folders(tmp_path):
    """Two folders of flat photos of the same name, and one of render_faces."""
    for place in ("lab/images", "web/images", "made/images"):
        (tmp_path / place).mkdir(parents=True)
        for name in ("ann_1", "ann_2", "bob_1"):
            picture = Image.new("L", (50, 50), len(name) + ord(name[0]))
            picture.save(tmp_path / place / f"{name}.png")
    table = FactorTable(
        tuple(f"images/{name}.png" for name in ("ann_1", "ann_2", "bob_1")),
        np.array([0, 0, 1]),
        np.array(["frontal", "smile", "smile"]),
        np.array(["test"] * 3),
        {},
    )
    write_factor_table(tmp_path / "made" / "factors.csv", table)
    return tmp_path


def test_folders_get_short_names_and_people_by_the_names_of_files(folders):
    made, lab, web = read_folders(
        controlled=[folders / "made"],
        photos=[folders / "lab/images", folders / "web/images"],
        person="[a-z]+",
    )
    assert lab.name.endswith("lab_images") and web.name.endswith("web_images")
    assert lab.identities.tolist() == ["ann", "ann", "bob"]
    assert made.identities.tolist() == ["0", "0", "1"]
    assert made.is_controlled and not lab.is_controlled
    assert lab.sha256 == web.sha256  # of pictures and people, not of the place
    (everybody,) = read_folders(photos=[folders / "lab/images"])
    assert everybody.name == "images"
    assert everybody.identities.tolist() == ["ann_1", "ann_2", "bob_1"]
    assert everybody.sha256 != lab.sha256


@pytest.mark.parametrize(
    ("controlled", "photos", "person", "complaint"),
    [
        (["lab"], [], ".*", r"factors\.csv: cannot be read"),
        (["gone"], [], ".*", r"gone/factors\.csv: cannot be read"),
        ([], ["gone"], ".*", "gone: no such folder of pictures"),
        ([], ["lab", "lab"], ".*", "lab: given twice"),
        ([], ["lab/images"], "(", r"'\(' is no regular expression"),
        ([], ["lab/images"], "[0-9]+", "ann_1"),
        ([], ["lab/images"], "(a|b)??", "ann_1"),
        ([], ["lab"], ".*", "lab: all 3 pictures are of one person, 'images'"),
    ],
)
def test_folders_that_cannot_be_compared_are_named(
    folders, controlled, photos, person, complaint
):
    with pytest.raises(InputError, match=complaint):
        read_folders(
            controlled=[folders / name for name in controlled],
            photos=[folders / name for name in photos],
            person=person,
        )


@pytest.mark.parametrize("conditions", [["random"] * 3, ["frontal"] * 3])
def test_a_folder_needs_frontal_pictures_and_others(folders, conditions):
    file = folders / "made" / "factors.csv"
    lines = file.read_text().splitlines()
    changed = [
        line.replace("frontal", what).replace("smile", what)
        for line, what in zip(lines[1:], conditions, strict=True)
    ]
    file.write_text("\n".join([lines[0], *changed]) + "\n")
    with pytest.raises(InputError, match="made: has no pictures of the condition 'fr"):
        read_folders(controlled=[folders / "made"])


def test_every_pair_of_pictures_is_compared_once():
    found = pictures(4)
    pairs = network_checks.all_pairs(found)["one"]
    people = np.repeat(np.arange(4), 3)
    expected = sorted(
        tuple(sorted((people[a], people[b])))
        for a, b in itertools.combinations(range(12), 2)
    )
    both = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    assert sorted(tuple(sorted(pair)) for pair in both) == expected
