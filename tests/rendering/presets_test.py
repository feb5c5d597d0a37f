import itertools
from collections import Counter

import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factors import EXPRESSIONS, FACTORS, factor_values, vary
from facedirs_jax.rendering.presets import (
    LIGHTS,
    PRESETS,
    YAWS,
    Plan,
    Shot,
    shots,
    split_of,
)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_plan_is_the_same_each_time_and_within_every_range(preset):
    plan = Plan(preset, identities=12)
    found = shots(plan)
    assert found == shots(plan)
    assert found != shots(Plan(preset, identities=12, seed=1))
    for shot in found[:: max(1, len(found) // 300)]:
        vary(shot.face, **factor_values(shot.face))


@pytest.mark.parametrize("preset", PRESETS)
def test_photos_of_a_person_stand_together_and_in_one_split(preset):
    found = shots(Plan(preset, identities=12))
    people = [shot.identity for shot in found]
    changes = sum(a != b for a, b in itertools.pairwise(people))
    assert changes == len(set(people)) - 1
    assert all(shot.split == split_of(shot.identity) for shot in found)


def test_no_person_is_in_two_splits_of_any_two_presets():
    faces: dict[str, set[int]] = {}
    for preset in ("portraits", "controlled", "sweeps", "training"):
        for shot in shots(Plan(preset, identities=30)):
            faces.setdefault(shot.split, set()).add(shot.face.person.detail)
    train, validation, test = (faces[n] for n in ("train", "validation", "test"))
    assert not train & validation and not train & test and not validation & test


def test_a_person_looks_the_same_in_all_presets():
    portraits = {s.identity: s.face.person for s in shots(Plan("portraits"))}
    for preset in ("controlled", "training"):
        for shot in shots(Plan(preset, identities=5)):
            assert shot.face.person == portraits[shot.identity]


def test_controlled_crosses_the_angles_of_multi_pie_when_asked_for_all():
    found = shots(Plan("controlled", identities=1, full=True))
    assert len(found) == len(YAWS) * (len(LIGHTS) + 1) * len(EXPRESSIONS)
    assert len({shot.condition for shot in found}) == len(found)
    assert Counter(shot.face.photo.yaw for shot in found).keys() == set(YAWS)


def test_controlled_changes_one_condition_at_a_time_by_default():
    by_name = {s.condition: s.face for s in shots(Plan("controlled", identities=1))}
    assert len(by_name) == 1 + 4 + 12 + 1 + 5
    frontal = factor_values(by_name["frontal"])
    axes = {"yaw": {"yaw"}, "light": {"light"}, "no_flash": {"flash"}, "frontal": set()}
    for name, face in by_name.items():
        changed = {n for n, v in factor_values(face).items() if v != frontal[n]}
        axis = name.rstrip("+-0123456789")
        assert changed == axes.get(axis, {"expression", "expression_amount"})


@pytest.mark.parametrize("people", [12, 60, 600])
def test_demographic_is_balanced_in_every_split(people):
    found = shots(Plan("demographic", identities=people, photos=1))
    assert len({shot.identity for shot in found}) == people
    groups = Counter((shot.split, shot.condition) for shot in found)
    for split in {shot.split for shot in found}:
        of_split = [n for (s, _), n in groups.items() if s == split]
        assert len(of_split) == 6 and len(set(of_split)) == 1


def test_demographic_people_are_what_their_group_says():
    for shot in shots(Plan("demographic", identities=60, photos=1)):
        gender, ethnicity = shot.condition.split()
        person = shot.face.person
        assert (person.gender > 0.5) == (gender == "male")
        shares = {n: getattr(person, n) for n in ("african", "asian", "caucasian")}
        assert max(shares, key=shares.__getitem__) == ethnicity


def test_a_sweep_varies_one_factor_of_a_person_of_the_test_split():
    found = shots(Plan("sweeps", identities=2))
    assert {shot.split for shot in found} == {"test"}
    by_sweep: dict[tuple[int, str], list[Shot]] = {}
    for shot in found:
        name = shot.condition.partition("=")[0]
        by_sweep.setdefault((shot.identity, name), []).append(shot)
    assert {name for _, name in by_sweep} == set(FACTORS)
    shares = {"african", "asian", "caucasian"}
    for (_, name), swept in by_sweep.items():
        rows = [factor_values(shot.face) for shot in swept]
        varying = {n for n in FACTORS if len({row[n] for row in rows}) > 1}
        assert name in varying
        assert varying <= (shares if name in shares else {name})


def test_training_varies_the_look_unless_it_is_fixed():
    free = shots(Plan("training", identities=4, photos=8))
    fixed = shots(Plan("training", identities=4, photos=8, fixed_look=True))
    assert len({(s.identity, s.face.look) for s in fixed}) == 4
    assert len({(s.identity, s.face.look) for s in free}) == 32
    assert [s.face.person for s in free] == [s.face.person for s in fixed]


def test_a_controlled_look_is_fixed_unless_it_is_let_go():
    fixed = shots(Plan("controlled", identities=2))
    free = shots(Plan("controlled", identities=2, fixed_look=False))
    assert fixed == shots(Plan("controlled", identities=2, fixed_look=True))
    assert len({s.face.look for s in fixed}) == 2
    assert len({s.face.look for s in free}) > 0.9 * len(free)
    assert [(s.condition, s.face.photo, s.face.person) for s in fixed] == [
        (s.condition, s.face.photo, s.face.person) for s in free
    ]


def test_one_split_has_its_people_alone():
    everybody = shots(Plan("portraits", identities=30))
    tested = shots(Plan("portraits", identities=30, split="test"))
    assert [s.identity for s in tested] == [9, 19, 29]
    assert tested == [s for s in everybody if s.split == "test"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan("holiday", split="some"), "unknown preset 'holiday'"),
        (Plan("portraits", split="some"), "unknown split 'some'; known: train"),
        (Plan("holiday"), "unknown preset 'holiday'; known: portraits"),
        (Plan("sweeps", factors=("charm",)), "unknown factor 'charm'"),
        (Plan("portraits", identities=0), "identities is 0"),
        (Plan("portraits", identities=10**9), "identities is 1000000000"),
        (Plan("training", photos=-1), "photos is -1"),
        (Plan("demographic", identities=7), "multiple of 6"),
    ],
)
def test_an_impossible_plan_is_refused_by_name(plan, message):
    with pytest.raises(InputError, match=message):
        shots(plan)
