"""Class directions: normals of the planes that part classes, as scikit-learn fits them.

One plane parts two classes; of more, one parts each class from all the rest. Templates
are centred and scaled to a variance of 1 a dimension, and the penalty is chosen by
cross-validation that keeps each identity in one fold.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import threadpoolctl

from facedirs_jax.directions.labelled import (
    FOLDS,
    ROUNDING,
    UNITS,
    as_classes,
    as_templates,
    people_in_folds,
    record_of,
    unit_rows,
)
from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError

Model = Literal["logistic", "svm"]
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
READS = {"logistic": "log-odds of the class", "svm": "margin, 1 where it begins"}
_ITERATIONS = 5000


class _Plane(NamedTuple):
    """One plane, of scaled templates; `penalty` and scores of its cross-validation."""

    weights: np.ndarray
    intercept: float
    penalty: float
    auc: float
    balanced_accuracy: float


def boundary_directions(
    templates: Any,
    classes: Any,
    identities: Any,
    *,
    model: Model = "logistic",
    positive: str | int | None = None,
    penalties: Sequence[float] = PENALTIES,
    folds: int = FOLDS,
    seed: int = 0,
) -> Directions:
    """Finds the way across the planes that part classes.

    Args:
        templates: [N, D] float32.
        classes: [N] str or int, each at least twice.
        identities: [N], whose each is, numbers or names; nobody is in two folds.
        model: "logistic" regression or linear "svm", a support vector machine.
        positive: the class that the one direction of two classes leads to; None for the
            later in their order.
        penalties: to choose from, 1 / C of scikit-learn.
        folds: of the cross-validation.
        seed: of the folds.

    Returns:
        Directions with [K, D] unit rows towards each class, one for two classes, and
        weights and intercepts that read what `about["reads"]` says: 0 on the plane,
        more beyond it. `about` has `labels` and `held_out`: `auc` and
        `balanced_accuracy` of planes fitted to other people.

    Raises:
        ValueError: if the shapes do not agree, a penalty is not above 0, or `positive`
            is given for other than two classes.
        InputError: if a template is not finite, there is one class only, a class with
            one member, no such positive class, fewer identities than folds, or a class
            of too few of them.
    """
    on_device = as_templates(templates)
    known = as_classes(classes, len(on_device))
    dealt = people_in_folds(identities, len(on_device), folds=folds, seed=seed)
    if not len(penalties) or min(penalties) <= 0:
        raise ValueError(f"penalties must be above 0, got {tuple(penalties)}")
    places = _places(known.values, positive)
    labels = [known.values[place] for place in places]
    x = np.asarray(on_device, np.float64)
    mean = x.mean(axis=0)
    scale = (x - mean).std()
    if scale <= ROUNDING * np.sqrt(np.mean(mean**2)):
        raise InputError("the templates are all the same; no plane parts them")
    planes = [
        _fit((x - mean) / scale, known.codes == place, dealt, model, penalties, name)
        for place, name in zip(places, labels, strict=True)
    ]
    weights = np.stack([plane.weights for plane in planes]) / scale
    weights = weights.astype(np.float32)
    intercepts = np.array([plane.intercept for plane in planes])
    about = {
        "kind": "label_boundary",
        "model": model,
        "labels": labels,
        "against": [_against(known.values, place) for place in places],
        "reads": READS[model],
        "units": UNITS,
        "sign_rule": "towards the class",
        "templates": len(x),
        "counts": known.counts[places].tolist(),
        "identities": len(np.unique(identities)),
        "folds": folds,
        "penalties": [plane.penalty for plane in planes],
        "held_out": {
            "auc": [plane.auc for plane in planes],
            "balanced_accuracy": [plane.balanced_accuracy for plane in planes],
        },
    }
    return record_of(
        *(on_device, unit_rows(weights, labels), about),
        weights=weights,
        intercepts=intercepts - weights.astype(np.float64) @ mean,
    )


def _places(values: Sequence[str | int], positive: str | int | None) -> list[int]:
    """Which classes directions lead to."""
    if positive is None:
        return [1] if len(values) == 2 else list(range(len(values)))
    if len(values) != 2:
        raise ValueError(f"positive is for two classes, and there are {len(values)}")
    if positive not in values:
        raise InputError(
            f"no template is of the positive class {positive!r}; the classes are: "
            f"{', '.join(map(str, values))}"
        )
    return [list(values).index(positive)]


def _against(values: Sequence[str | int], place: int) -> str | int:
    """What a class is parted from: the other of two, or the rest."""
    return values[1 - place] if len(values) == 2 else "rest"


def _fit(
    x: np.ndarray,
    member: np.ndarray,
    folds: np.ndarray,
    model: Model,
    penalties: Sequence[float],
    name: str | int,
) -> _Plane:
    from sklearn import metrics

    usable = [fold for fold in np.unique(folds) if 0 < member[folds != fold].mean() < 1]
    tested = np.isin(folds, usable)
    if not 0 < member[tested].mean() < 1:
        raise InputError(
            f"class {name}: its people are all in one fold of {folds.max() + 1}, so "
            "nothing can be tested; add people or ask for more folds"
        )
    with threadpoolctl.threadpool_limits(1):  # small systems: more get in the way
        read = np.zeros((len(penalties), len(x)))
        for row, penalty in zip(read, penalties, strict=True):
            for fold in usable:
                left = folds == fold
                fitted = _model(model, penalty).fit(x[~left], member[~left])
                row[left] = fitted.decision_function(x[left])
        aucs = [metrics.roc_auc_score(member[tested], row[tested]) for row in read]
        best = max(range(len(aucs)), key=lambda place: (aucs[place], penalties[place]))
        fitted = _model(model, penalties[best]).fit(x, member)
    right = metrics.balanced_accuracy_score(member[tested], read[best][tested] > 0)
    return _Plane(
        weights=fitted.coef_[0],
        intercept=float(fitted.intercept_[0]),
        penalty=float(penalties[best]),
        auc=float(aucs[best]),
        balanced_accuracy=float(right),
    )


def _model(model: Model, penalty: float) -> Any:
    # scikit-learn takes a second to load, which not everybody needs
    from sklearn import linear_model, svm

    if model == "logistic":
        return linear_model.LogisticRegression(C=1 / penalty, max_iter=_ITERATIONS)
    return svm.LinearSVC(C=1 / penalty, max_iter=_ITERATIONS, random_state=0)
