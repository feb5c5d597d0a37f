"""Oracle: scikit-learn's own fits on scaled templates."""

import numpy as np
import pytest
from sklearn import linear_model, metrics, model_selection, svm

from facedirs_jax.directions.boundary import boundary_directions
from facedirs_jax.directions.labelled import people_in_folds
from facedirs_jax.directions.record import (
    DirectionFile,
    load_directions,
    save_directions,
)
from facedirs_jax.errors import InputError

WORDS = np.array(["beard", "glasses", "none"])
MODELS = {
    "logistic": lambda: linear_model.LogisticRegression(C=0.1, max_iter=5000),
    "svm": lambda: svm.LinearSVC(C=0.1, max_iter=5000, random_state=0),
}


def drawn(num_classes=2, *, count=180, dim=8, apart=1.5):
    rng = np.random.default_rng(num_classes)
    codes = rng.permutation(np.arange(count) % num_classes)
    centres = apart * np.eye(dim)[:num_classes]
    templates = 2 + 3 * (rng.normal(size=(count, dim)) + centres[codes])
    return templates.astype(np.float32), WORDS[codes], np.arange(count) // 3


def scaled(templates):
    centred = templates.astype(np.float64) - templates.mean(axis=0, dtype=np.float64)
    return centred / centred.std()


def read_by(found, templates):
    return templates.astype(np.float64) @ found.weights.T + found.intercepts  # [N, K]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_boundaries_are_those_of_scikit_learn(model, num_classes):
    templates, words, people = drawn(num_classes)
    found = boundary_directions(templates, words, people, model=model, penalties=[10.0])
    labels = WORDS[:num_classes] if num_classes > 2 else WORDS[1:2]
    assert found.about["labels"] == labels.tolist()
    x, folds = scaled(templates), people_in_folds(people, len(templates))
    split = model_selection.PredefinedSplit(folds)
    for place, word in enumerate(labels):
        member = words == word
        expected = MODELS[model]().fit(x, member)
        read = read_by(found, templates)[:, place]
        np.testing.assert_allclose(read, expected.decision_function(x), atol=1e-5)
        cosine = expected.coef_[0] @ found.directions[place]
        assert cosine == pytest.approx(np.linalg.norm(expected.coef_), rel=1e-6)
        scores = model_selection.cross_val_predict(
            MODELS[model](), x, member, cv=split, method="decision_function"
        )
        told = found.about["held_out"]
        assert told["auc"][place] == metrics.roc_auc_score(member, scores)
        right = metrics.balanced_accuracy_score(member, np.asarray(scores) > 0)
        assert told["balanced_accuracy"][place] == right
    along = templates.astype(np.float64) @ found.directions.T
    np.testing.assert_allclose(found.scales, along.std(axis=0, ddof=1), rtol=1e-4)


def test_the_direction_of_two_classes_turns_with_the_positive_one():
    data = drawn()
    later = boundary_directions(*data, penalties=[10.0])
    earlier = boundary_directions(*data, penalties=[10.0], positive="beard")
    np.testing.assert_allclose(later.directions, -earlier.directions, atol=1e-4)
    assert (later.about["labels"], later.about["against"]) == (["glasses"], ["beard"])
    assert (earlier.about["labels"], earlier.about["counts"]) == (["beard"], [90])


def test_the_penalty_is_that_of_the_best_area_under_the_curve():
    templates, words, people = drawn(dim=60, apart=0.8)
    tried = (0.01, 3.0, 1000.0)
    aucs = [
        boundary_directions(templates, words, people, penalties=[penalty])
        .about["held_out"]["auc"][0]
        for penalty in tried
    ]  # fmt: skip
    found = boundary_directions(templates, words, people, penalties=tried)
    assert found.about["held_out"]["auc"] == [max(aucs)]
    assert found.about["penalties"] == [tried[int(np.argmax(aucs))]]


def test_the_record_tells_what_was_done_and_a_file_keeps_it(tmp_path):
    found = boundary_directions(*drawn(3), model="svm", penalties=[10.0], folds=4)
    about = found.about
    assert (about["kind"], about["model"]) == ("label_boundary", "svm")
    assert about["against"] == ["rest"] * 3 and about["reads"].startswith("margin")
    assert (about["templates"], about["identities"], about["folds"]) == (180, 60, 4)
    save_directions(tmp_path / "file", DirectionFile({"face": found}, {}, {}))
    back = load_directions(tmp_path / "file").sets["face"]
    assert back.about == about
    for name in ("directions", "eigenvalues", "mean", "weights", "intercepts"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))


def test_a_class_of_people_of_one_fold_cannot_be_tested():
    templates, words, people = drawn()
    people = np.where(words == "glasses", 0, 1 + people)
    with pytest.raises(InputError, match=r"class glasses: .*all in one fold of 5"):
        boundary_directions(templates, words, people)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a"] * 180}, "of one class"),
        ({"classes": ["b"] + ["a"] * 179}, "only one template has the class b"),
        ({"templates": np.full((180, 8), np.nan)}, "180 of 180 templates hold NaN"),
        ({"templates": np.full((180, 8), 1.1)}, "the templates are all the same"),
        ({"identities": np.arange(180) % 3}, "3 identities cannot be dealt out to 5"),
        ({"positive": "hat"}, "no template is of the positive class 'hat'; .*beard"),
    ],
)
def test_what_no_plane_parts_is_refused(change, message):
    given = dict(zip(("templates", "classes", "identities"), drawn(), strict=True))
    with pytest.raises(InputError, match=message):
        boundary_directions(**given | change)


def test_callers_mistakes_are_refused():
    templates, words, people = drawn(3)
    with pytest.raises(ValueError, match="positive is for two classes"):
        boundary_directions(templates, words, people, positive="beard")
    with pytest.raises(ValueError, match="penalties must be above 0"):
        boundary_directions(templates, words, people, penalties=[-1.0])
    with pytest.raises(ValueError, match="classes are"):
        boundary_directions(templates, words[:-1], people)
