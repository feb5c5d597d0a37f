"""Label directions: linear regression on templates (Plesh et al. 2024, eqs. 10-11).

Ridge regression whose penalty is chosen by cross-validation, since with fewer templates
than dimensions least squares has no single answer; the paper's own least squares, by
the answer of smallest norm, is `mode="paper"`. All folds share one set of Gram
matrices, and all penalties one eigendecomposition a fold. Computed in float64, since a
Gram matrix squares the condition of the templates.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.directions.gram import gram
from facedirs_jax.directions.labelled import (
    FOLDS,
    ROUNDING,
    UNITS,
    as_labels,
    as_templates,
    people_in_folds,
    record_of,
    unit_rows,
)
from facedirs_jax.directions.pca import Mode
from facedirs_jax.directions.record import Directions
from facedirs_jax.errors import InputError

Vector = Literal["coefficients", "pattern"]
# Of templates scaled to a variance of 1 a dimension: from nothing to almost the mean.
PENALTIES = tuple(10.0 ** np.linspace(-1, 5, 13))


class Fit(NamedTuple):
    """A regression on templates, tested on people left out of it.

    Attributes:
        weights: [D] float64, the coefficients beta_1 .. beta_D of eq. 10.
        intercept: [] float64, its beta_0.
        penalty: of the ridge, for templates with a variance of 1 a dimension; None for
            least squares.
        held_out: [N] float64, label of each template as read by a regression on people
            of other folds.
    """

    weights: np.ndarray
    intercept: float
    penalty: float | None
    held_out: np.ndarray


class _Moments(NamedTuple):
    """Sums over some templates x [N, D] and labels y [N]; those of folds add up."""

    number: jax.Array  # []
    x: jax.Array  # [D]
    y: jax.Array  # []
    xx: jax.Array  # [D, D]
    xy: jax.Array  # [D]


def regression_direction(
    templates: Any,
    labels: Any,
    identities: Any,
    *,
    name: str = "the label",
    mode: Mode = "corrected",
    direction: Vector = "coefficients",
    penalties: Sequence[float] = PENALTIES,
    folds: int = FOLDS,
    seed: int = 0,
) -> Directions:
    """Finds the direction that goes with a number, and how to read that number.

    Args:
        templates: [N, D] float32.
        labels: [N], the number of each, in units of its own.
        identities: [N], whose each is, numbers or names; nobody is in two folds.
        name: of the label.
        mode: "corrected", ridge regression; "paper", least squares.
        direction: "coefficients", those of the regression as in the paper; "pattern",
            what the templates do as the reading grows, covariance @ coefficients
            (Haufe et al. 2014, On the interpretation of weight vectors of linear models
            in multivariate neuroimaging, eq. 6).
        penalties: of the ridge, to choose from; for templates with a variance of 1 a
            dimension.
        folds: of the cross-validation.
        seed: of the folds.

    Returns:
        Directions with one row, towards higher labels; weights and intercepts read the
        label. `about` has `held_out`: `r2` and `correlation` of labels and of what
        regressions on other people read.

    Raises:
        ValueError: if the shapes do not agree, or there are no penalties above 0.
        InputError: if a template or a label is not finite, neither may vary, or there
            are fewer identities than folds.
    """
    on_device = as_templates(templates)
    values = as_labels(labels, len(on_device), name)
    dealt = people_in_folds(identities, len(on_device), folds=folds, seed=seed)
    fit = fit_regression(on_device, values, dealt, mode=mode, penalties=penalties)
    weights = fit.weights.astype(np.float32)[None]
    vectors = weights
    if direction == "pattern":
        vectors = np.asarray(_pattern(on_device, jnp.asarray(weights[0])))[None]
    about = {
        "kind": "label_regression",
        "label": name,
        "mode": mode,
        "direction": direction,
        "units": UNITS,
        "sign_rule": "towards higher labels",
        "templates": len(on_device),
        "identities": len(np.unique(identities)),
        "folds": folds,
        "penalty": fit.penalty,
        "penalty_is_an_end": fit.penalty in (min(penalties), max(penalties)),
        "held_out": _agreement(values, fit.held_out),
        "label_mean": float(values.mean()),
        "label_sd": float(values.std(ddof=1)),
        "label_range": [float(values.min()), float(values.max())],
    }
    return record_of(
        *(on_device, unit_rows(vectors, [name]), about),
        weights=weights,
        intercepts=np.array([fit.intercept]),
    )


def fit_regression(
    templates: jax.Array,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    mode: Mode = "corrected",
    penalties: Sequence[float] = PENALTIES,
) -> Fit:
    """Fits a regression, its penalty that of the least error on templates left out.

    Args:
        templates: [N, D] float32, not all the same.
        labels: [N] float64.
        folds: [N] int, 0 to F - 1, the fold in which each is left out.
        mode: "corrected", ridge regression; "paper", least squares of smallest norm.
        penalties: of the ridge, for templates with a variance of 1 a dimension.

    Returns:
        Fit of [D] weights.

    Raises:
        ValueError: if there are no penalties above 0.
        InputError: if the templates do not vary.
    """
    if not len(penalties) or min(penalties) <= 0:
        raise ValueError(f"penalties must be above 0, got {tuple(penalties)}")
    least_squares = mode == "paper"
    tried = np.zeros(1) if least_squares else np.asarray(penalties, np.float64)
    rows = _rows_of_folds(folds)
    with jax.enable_x64(True):
        y, penalty = jnp.asarray(labels, jnp.float64), jnp.asarray(tried)
        fitted = _fit(templates, y, jnp.asarray(rows), penalty, least_squares)
    scale, mean, weights, chosen, held_out = map(np.asarray, fitted)
    if scale <= ROUNDING * np.sqrt(np.mean(mean**2)):
        raise InputError(
            "the templates are all the same; nothing can be read from them"
        )
    weights = weights / scale
    # Of the weights as the record will keep them.
    centre = mean @ weights.astype(np.float32).astype(np.float64)
    chosen_penalty = None if least_squares else float(tried[chosen])
    return Fit(weights, float(np.mean(labels) - centre), chosen_penalty, held_out)


def _rows_of_folds(folds: np.ndarray) -> np.ndarray:
    """[F, M] int, rows of each fold; N, which is none, fills up the smaller ones."""
    members = [np.flatnonzero(folds == fold) for fold in range(folds.max() + 1)]
    most = max(map(len, members))
    return np.stack(
        [np.pad(m, (0, most - len(m)), constant_values=len(folds)) for m in members]
    )


@functools.partial(jax.jit, static_argnums=4)
def _fit(
    templates: jax.Array,
    labels: jax.Array,
    rows: jax.Array,
    penalties: jax.Array,
    least_squares: bool,
) -> tuple[jax.Array, ...]:
    """Scale [], mean [D], weights [D] of scaled templates, choice [], held out [N]."""
    with jax.default_matmul_precision("highest"):
        x, y = templates.astype(labels.dtype), labels - labels.mean()
        mean = x.mean(axis=0)
        x = x - mean[None]
        scale = jnp.sqrt(jnp.mean(x**2))
        x = x / jnp.where(scale > 0, scale, 1.0)
        axes = None
        if len(x) < x.shape[1]:  # no weight lies outside of what the templates span
            axes, turned = jnp.linalg.qr(x.T)  # [D, N], [N, N]
            x = turned.T
        parts = jax.lax.map(lambda r: _moments(_take(x, r), _take(y, r), r, x), rows)
        whole = jax.tree.map(lambda part: part.sum(axis=0), parts)

        def left_out(part: _Moments, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
            others = jax.tree.map(jnp.subtract, whole, part)
            weights, intercepts = _solve(others, penalties, least_squares)
            read = _take(x, rows) @ weights.T + intercepts[None]  # [M, P]
            error = jnp.where(
                (rows < len(x))[:, None], _take(y, rows)[:, None] - read, 0.0
            )
            return read, jnp.sum(error**2, axis=0) / part.number

        read, errors = jax.lax.map(lambda each: left_out(*each), (parts, rows))
        chosen = jnp.argmin(errors.mean(axis=0))
        weights, _ = _solve(whole, penalties[chosen][None], least_squares)
        weights = weights[0] if axes is None else axes @ weights[0]
        held_out = jnp.zeros(len(x)).at[rows].set(read[:, :, chosen], mode="drop")
    return scale, mean, weights, chosen, held_out + labels.mean()


def _take(values: jax.Array, rows: jax.Array) -> jax.Array:
    """Some rows; zeros for those that there are not."""
    return values.at[rows].get(mode="fill", fill_value=0)


def _moments(x: jax.Array, y: jax.Array, rows: jax.Array, whole: jax.Array) -> _Moments:
    number = jnp.sum(rows < len(whole)).astype(x.dtype)
    return _Moments(number, x.sum(axis=0), y.sum(), gram(x), x.T @ y)


def _solve(
    sums: _Moments, penalties: jax.Array, least_squares: bool
) -> tuple[jax.Array, jax.Array]:
    """Weights [P, D] and intercepts [P] for all penalties.

    (X^T X + a I)^-1 X^T y of centred X and y, with X^T X = V diag(s) V^T: an eigenvalue
    s counts 1 / (s + a), and 1 / s for least squares, or 0 where s is rounding.
    """
    mean, centre = sums.x / sums.number, sums.y / sums.number
    scatter = sums.xx - sums.number * jnp.outer(mean, mean)
    s, vectors = jnp.linalg.eigh(scatter)
    along = vectors.T @ (sums.xy - sums.number * mean * centre)
    s = jnp.maximum(s, 0.0)
    if least_squares:
        rounding = len(s) * jnp.finfo(s.dtype).eps * s[-1]
        inverse = jnp.where(s > rounding, 1 / jnp.maximum(s, rounding), 0.0)[None]
    else:
        inverse = 1 / (s[None] + penalties[:, None])
    weights = (inverse * along[None]) @ vectors.T
    return weights, centre - weights @ mean


@jax.jit
def _pattern(templates: jax.Array, weights: jax.Array) -> jax.Array:
    """Covariance of templates @ weights, [D]."""
    with jax.default_matmul_precision("highest"):
        centred = templates - templates.mean(axis=0, keepdims=True)
        return (centred @ weights) @ centred / (len(templates) - 1)


def _agreement(labels: np.ndarray, read: np.ndarray) -> dict[str, float]:
    """R2, 1 at most, and correlation, 0 where all readings are equal."""
    error, spread = np.sum((labels - read) ** 2), np.sum((labels - labels.mean()) ** 2)
    constant = np.ptp(read) == 0
    correlation = 0.0 if constant else np.corrcoef(labels, read)[0, 1]
    return {"r2": float(1 - error / spread), "correlation": float(correlation)}
