"""Does a template tell of a factor? Linear reading, tested on people never seen.

A ridge regression (numbers) or a logistic regression (words) is fitted on templates of
some identities, its penalty chosen by cross-validation that keeps each identity in one
fold, and tested on the other identities.
"""

from typing import NamedTuple

import numpy as np
import threadpoolctl
from sklearn import linear_model, model_selection

from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bootstrap import (
    RESAMPLES,
    Estimate,
    estimate,
    identity_weights,
    sums_by_identity,
)

MIN_IDENTITIES = 10  # to fit on, and as many to test on
TRAIN_SHARE = 2 / 3  # of the identities, where no number is given
_FOLDS = 5
# Of templates scaled to a variance of 1 a dimension: from nothing to almost the mean.
_RIDGE_PENALTIES = np.logspace(-1, 5, 13)
_LOGISTIC_PENALTIES = np.logspace(-1, 4, 6)
_ITERATIONS = 2000
_TINY = 1e-12  # of a sum of squares, what rounding leaves


class Reading(NamedTuple):
    """How well a number is read from templates of people who were held out.

    Attributes:
        train_identities: number of people it was fitted on.
        test_identities: number of people it was tested on.
        train_templates: theirs.
        test_templates: theirs.
        penalty: of the ridge, for templates with a variance of 1 a dimension.
        r2: share of the variance of the values that is told, 1 at most; below 0 it is
            worse than their mean.
        correlation: of values and readings, -1 to 1; 0 if all readings are equal.
    """

    train_identities: int
    test_identities: int
    train_templates: int
    test_templates: int
    penalty: float
    r2: Estimate
    correlation: Estimate


class WordReading(NamedTuple):
    """How well a word is read from templates of people who were held out.

    Attributes:
        train_identities: number of people it was fitted on.
        test_identities: number of people it was tested on.
        train_templates: theirs.
        test_templates: theirs.
        penalty: of the regression, for templates with a variance of 1 a dimension.
        accuracy: share of the templates whose word is told.
        chance: that of always saying the word most common in training.
    """

    train_identities: int
    test_identities: int
    train_templates: int
    test_templates: int
    penalty: float
    accuracy: Estimate
    chance: float


class _Split(NamedTuple):
    """Templates (scaled) and values of both kinds of people, numbered from 0."""

    train: np.ndarray
    train_values: np.ndarray
    train_identities: np.ndarray
    test: np.ndarray
    test_values: np.ndarray
    test_identities: np.ndarray

    @property
    def counts(self) -> tuple[int, int, int, int]:
        people = (self.train_identities.max() + 1, self.test_identities.max() + 1)
        return int(people[0]), int(people[1]), len(self.train), len(self.test)


def read_number(
    templates: np.ndarray,
    values: np.ndarray,
    identities: np.ndarray,
    *,
    name: str = "the factor",
    train_identities: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Reading:
    """Reads a number by ridge regression.

    Args:
        templates: [N, D] float32.
        values: [N], the number of each.
        identities: [N], whose each is; numbers or names.
        name: of the number, for errors.
        train_identities: people to fit on, drawn at random; None for `TRAIN_SHARE`.
        resamples: draws of test identities for the intervals.
        seed: of every draw.

    Returns:
        Reading.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: if a value or a template is not finite, the value is the same for
            all of one part, or there are fewer than `MIN_IDENTITIES` in either.
    """
    values = np.asarray(values, np.float64)
    unknown = int((~np.isfinite(values)).sum())
    if unknown:
        raise InputError(
            f"{name}: {unknown} of {len(values)} values are NaN or infinite; leave "
            "such faces out"
        )
    split = _split(name, templates, values, identities, train_identities, seed)
    search = model_selection.GridSearchCV(
        linear_model.Ridge(),
        {"alpha": _RIDGE_PENALTIES},
        scoring="neg_mean_squared_error",
        cv=_folds(split, seed),
    )
    _fit(search, split)
    read = search.predict(split.test)
    centre = split.test_values.mean()
    y, p = split.test_values - centre, read - centre
    moments = np.stack([np.ones_like(y), y, y * y, p, p * p, y * p], axis=1)
    sums = sums_by_identity(split.test_identities, moments)
    weights = identity_weights(len(sums), resamples=resamples, seed=seed)
    everybody, drawn = _agreement(sums.sum(axis=0)[None]), _agreement(weights @ sums)
    r2, correlation = (estimate(e[0], d) for e, d in zip(everybody, drawn, strict=True))
    return Reading(*split.counts, float(search.best_params_["alpha"]), r2, correlation)


def read_word(
    templates: np.ndarray,
    words: np.ndarray,
    identities: np.ndarray,
    *,
    name: str = "the factor",
    train_identities: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> WordReading:
    """Reads a word by logistic regression.

    Args:
        templates: [N, D] float32.
        words: [N] str, the word of each.
        identities: [N], whose each is; numbers or names.
        name: of what the words tell, for errors.
        train_identities: people to fit on, drawn at random; None for `TRAIN_SHARE`.
        resamples: draws of test identities for the interval.
        seed: of every draw.

    Returns:
        WordReading.

    Raises:
        ValueError: if the shapes do not agree.
        InputError: if a template is not finite, all of one part have one word, or
            there are fewer than `MIN_IDENTITIES` in either.
    """
    words = np.asarray(words, str)
    split = _split(name, templates, words, identities, train_identities, seed)
    search = model_selection.GridSearchCV(
        linear_model.LogisticRegression(max_iter=_ITERATIONS),
        {"C": 1 / _LOGISTIC_PENALTIES},
        cv=[
            (fit, check)
            for fit, check in _folds(split, seed)
            if len(np.unique(split.train_values[fit])) > 1
        ],
    )
    _fit(search, split)
    right = search.predict(split.test) == split.test_values
    sums = sums_by_identity(
        split.test_identities, np.stack([right, np.ones_like(right)], axis=1)
    )
    drawn = identity_weights(len(sums), resamples=resamples, seed=seed) @ sums
    known, counts = np.unique(split.train_values, return_counts=True)
    return WordReading(
        *split.counts,
        penalty=float(1 / search.best_params_["C"]),
        accuracy=estimate(right.mean(), drawn[:, 0] / drawn[:, 1]),
        chance=float(np.mean(split.test_values == known[counts.argmax()])),
    )


def _split(
    name: str,
    templates: np.ndarray,
    values: np.ndarray,
    identities: np.ndarray,
    train_identities: int | None,
    seed: int,
) -> _Split:
    templates, identities = np.asarray(templates, np.float64), np.asarray(identities)
    if templates.ndim != 2 or not values.shape == identities.shape == (len(templates),):
        raise ValueError(
            f"templates, values and identities are {list(templates.shape)}, "
            f"{list(values.shape)} and {list(identities.shape)}; they must be [N, D], "
            "[N] and [N]"
        )
    if not np.isfinite(templates).all():
        raise InputError(
            f"{name}: a template holds NaN or infinity; leave out the faces without one"
        )
    people = np.unique(identities)
    count = train_identities or round(TRAIN_SHARE * len(people))
    if min(count, len(people) - count) < MIN_IDENTITIES:
        raise InputError(
            f"{name}: {len(people)} identities, of which {count} to fit on; at least "
            f"{MIN_IDENTITIES} to fit on and {MIN_IDENTITIES} to test on are needed"
        )
    fitted = np.random.default_rng(seed).permutation(people)[:count]
    train = np.isin(identities, fitted)
    for part, what in ((values[train], "fit on"), (values[~train], "test on")):
        if (part == part[0]).all():
            raise InputError(
                f"{name}: is {part[0]} in every face to {what}; nothing can be read "
                "that does not vary"
            )
    centre = templates[train].mean(axis=0, keepdims=True)
    scaled = templates - centre
    scaled /= max(scaled[train].std(), np.finfo(float).tiny)
    return _Split(
        scaled[train],
        values[train],
        np.unique(identities[train], return_inverse=True)[1],
        scaled[~train],
        values[~train],
        np.unique(identities[~train], return_inverse=True)[1],
    )


def _fit(search: model_selection.GridSearchCV, split: _Split) -> None:
    with threadpoolctl.threadpool_limits(1):  # small systems: more only get in the way
        search.fit(split.train, split.train_values)


def _folds(split: _Split, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and to check on; an identity is in one fold only."""
    folds = model_selection.GroupKFold(_FOLDS, shuffle=True, random_state=seed)
    return list(folds.split(split.train, groups=split.train_identities))


def _agreement(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R2 and correlation, [R] each, of sums of 1, y, y^2, p, p^2, y p, [R, 6].

    R2 is NaN where y does not vary; the correlation is 0 where p does not.
    """
    n, y, yy, p, pp, yp = sums.T
    total, spread = yy - y**2 / n, pp - p**2 / n
    total = np.where(total > _TINY * yy, total, np.nan)
    r2 = 1 - (yy - 2 * yp + pp) / total
    flat = spread <= _TINY * pp
    product = (yp - y * p / n) / np.sqrt(total * np.where(flat, 1.0, spread))
    return r2, np.where(flat & ~np.isnan(total), 0.0, product)
