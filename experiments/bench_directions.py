"""Times how directions are found against scikit-learn and numpy doing the same.

    python -m experiments.bench_directions --out_dir=runs/bench_directions

Ridge regression with its penalty chosen by cross-validation (scikit-learn: GridSearchCV
over the same penalties and folds), principal components (scikit-learn's solver for many
samples), class centroids (numpy), and 1,000 draws of donors for the angles of centroids
(numpy: a weight for every template). Ours and theirs are timed in turns on made-up
templates, so that a machine whose speed drifts slows both, and must agree. Prints
milliseconds and ratios; writes bench.json and bench_*.png to --out_dir. The target is a
ratio of 1.5 at most.
"""

import dataclasses
import functools
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from sklearn import decomposition, linear_model, model_selection

from facedirs_jax import bench_charts, figures, files, runs
from facedirs_jax.directions.centroid import centroid_directions, resampled_degrees
from facedirs_jax.directions.gram import gram
from facedirs_jax.directions.labelled import people_in_folds
from facedirs_jax.directions.pca import principal_components
from facedirs_jax.directions.regression import PENALTIES, fit_regression
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.bootstrap import RESAMPLES, identity_weights

from .launch import launch

_DONORS = 163  # the paper's
_CLASSES = 5
_OURS, _THEIRS = "facedirs_jax", "reference"


@dataclasses.dataclass(frozen=True)
class Config:
    """What is timed; see the flags of the same names."""

    out_dir: str
    samples: int = 26_406
    dim: int = 2048
    rounds: int = 3
    seed: int = 0

    def __post_init__(self):
        if self.samples < 10 * _CLASSES:
            raise InputError(f"--samples={self.samples}; at least {10 * _CLASSES}")


class Made(NamedTuple):
    """Made-up templates with their labels.

    Attributes:
        x: [N, D] float32.
        labels: [N] float64.
        classes: [N] int, 0 to 4; 0 is neutral.
        donors: [N] int, 0 to G - 1.
        folds: [N] int, 0 to 4; a donor is in one.
    """

    x: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    donors: np.ndarray
    folds: np.ndarray


class Contest(NamedTuple):
    """The same numbers found in two ways, and how far they may lie apart."""

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    tolerance: float


def made_up(config: Config) -> Made:
    """Draws templates: donors differ, classes shift them, a label runs through them."""
    rng = np.random.default_rng(config.seed)
    spread = np.linspace(2.0, 0.2, config.dim, dtype=np.float32)
    donors = rng.permutation(config.samples) % min(_DONORS, config.samples // 10)
    classes = rng.permutation(config.samples) % _CLASSES
    own = rng.standard_normal((donors.max() + 1, config.dim), np.float32)
    shifts = rng.standard_normal((_CLASSES, config.dim), np.float32)
    x = rng.standard_normal((config.samples, config.dim), np.float32)
    x += own[donors] + 0.3 * shifts[classes]
    x *= spread
    labels = x[:, :10].sum(axis=1) + 3 * rng.standard_normal(len(x))
    folds = people_in_folds(donors, len(x), seed=config.seed)
    return Made(x, labels.astype(np.float64), classes, donors, folds)


def contests(made: Made, seed: int) -> dict[str, Contest]:
    """What is timed, by name."""
    on_device = jax.block_until_ready(jnp.asarray(made.x))
    classes, donors = made.classes, made.donors
    return {
        "regression": Contest(
            lambda: fit_regression(on_device, made.labels, made.folds).held_out,
            functools.partial(_regression, made),
            1e-2,  # scikit-learn solves in float32
        ),
        "pca": Contest(
            lambda: np.asarray(_components(on_device)),
            functools.partial(_pca, made.x),
            1e-3,
        ),
        "centroid": Contest(
            lambda: _lengths_and_scales(on_device, classes),
            functools.partial(_centroids, made.x, classes),
            1e-3,
        ),
        "bootstrap": Contest(
            lambda: resampled_degrees(on_device, classes, donors, neutral=0, seed=seed),
            functools.partial(_bootstrap, made, seed),
            1e-1,  # degrees
        ),
    }


def _regression(made: Made) -> np.ndarray:
    folds = model_selection.PredefinedSplit(made.folds)
    penalties = np.array(PENALTIES) * made.x.var(axis=0).mean()
    search = model_selection.GridSearchCV(
        linear_model.Ridge(),
        {"alpha": penalties.tolist()},
        scoring="neg_mean_squared_error",
        cv=folds,
    )
    best = search.fit(made.x, made.labels).best_estimator_
    read = model_selection.cross_val_predict(best, made.x, made.labels, cv=folds)
    return np.asarray(read)


@jax.jit
def _components(x: jax.Array) -> jax.Array:
    centred = x - x.mean(axis=0, keepdims=True)
    return principal_components(gram(centred) / (len(x) - 1)).eigenvalues


def _pca(x: np.ndarray) -> np.ndarray:
    fitted = decomposition.PCA(svd_solver="covariance_eigh").fit(x)
    return np.asarray(fitted.explained_variance_)


def _lengths_and_scales(x: jax.Array, classes: np.ndarray) -> np.ndarray:
    found = centroid_directions(x, classes, neutral=0)
    return np.stack([np.array(found.about["lengths"]), found.scales])


def _centroids(x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    if not np.isfinite(x).all():  # as ours looks
        raise InputError("templates hold NaN or infinity")
    means = np.stack([x[classes == value].mean(axis=0) for value in range(_CLASSES)])
    differences = means[1:] - means[:1]
    lengths = np.linalg.norm(differences, axis=1)
    along = (x - x.mean(axis=0)) @ (differences / lengths[:, None]).T
    return np.stack([lengths, along.std(axis=0, ddof=1)])


def _bootstrap(made: Made, seed: int) -> np.ndarray:
    """[R, K] degrees: each draw weighs every template and averages the classes anew."""
    drawn = identity_weights(made.donors.max() + 1, resamples=RESAMPLES, seed=seed)
    member = (np.arange(_CLASSES)[:, None] == made.classes).astype(np.float32)

    def unit_differences(weights: np.ndarray) -> np.ndarray:
        weighed = member * weights
        means = weighed @ made.x / weighed.sum(axis=1, keepdims=True)
        rows = means[1:] - means[:1]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    own = unit_differences(np.ones(len(made.x), np.float32))
    cosines = [
        (unit_differences(weights.astype(np.float32)[made.donors]) * own).sum(axis=1)
        for weights in drawn
    ]
    return np.rad2deg(np.arccos(np.clip(cosines, -1, 1)))


def run(config: Config) -> int:
    """Times each in turns; gives the exit code, 0 if ours and theirs agree."""
    results, agree = {}, True
    with runs.locked(config.out_dir, resume=False) as out:
        made = made_up(config)
        for name, contest in contests(made, config.seed).items():
            times, apart = _timed(contest, config.rounds)
            near = bool(apart <= contest.tolerance)
            results[name] = _summary(times) | {"apart": apart, "agree": near}
            agree &= near
            print(f"{name}: {_told(results[name])}", flush=True)
            figures.save_figure(
                out / f"bench_{name}.png", bench_charts.draw_times(times)
            )
        result = {
            "settings": dataclasses.asdict(config),
            "contests": results,
            "peak_memory_mb": runs.peak_memory_mb(),
            "device": jax.devices()[0].device_kind,
            "versions": runs.versions(),
        }
        files.write_text(out / "bench.json", json.dumps(result, indent=1) + "\n")
    return 0 if agree else 1


def _timed(contest: Contest, rounds: int) -> tuple[dict[str, list[float]], float]:
    """Milliseconds of each round, and the largest difference of what was found."""
    found = contest.ours()  # compiles, and is left out
    times: dict[str, list[float]] = {_OURS: [], _THEIRS: []}
    expected = found
    for _ in range(rounds):
        start = time.perf_counter()
        found = contest.ours()
        middle = time.perf_counter()
        expected = contest.theirs()
        end = time.perf_counter()
        times[_OURS].append(1e3 * (middle - start))
        times[_THEIRS].append(1e3 * (end - middle))
    return times, float(np.max(np.abs(found - expected)))


def _summary(times: dict[str, list[float]]) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(times[_OURS], times[_THEIRS], strict=True)]
    return {
        "ms": times,
        "ratio_median": round(statistics.median(ratios), 4),
        "ratio_range": [round(min(ratios), 4), round(max(ratios), 4)],
    }


def _told(result: dict[str, Any]) -> str:
    ours, theirs = (statistics.median(ms) for ms in result["ms"].values())
    low, high = result["ratio_range"]
    return (
        f"{ours:.0f} ms, reference {theirs:.0f} ms, ratio {result['ratio_median']} "
        f"({low} to {high}); {'agree' if result['agree'] else 'DISAGREE'} to "
        f"{result['apart']:.2g}"
    )


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    flags.DEFINE_integer("samples", Config.samples, "Templates.", 10 * _CLASSES)
    flags.DEFINE_integer("dim", Config.dim, "Dimensions of a template.", 2)
    flags.DEFINE_integer("rounds", Config.rounds, "How often each is timed.", 1)
    flags.DEFINE_integer("seed", 0, "Of the templates and all draws.", 0)
    flags.DEFINE_string("out_dir", None, "Run directory to make.", required=True)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    return run(Config(**{f.name: values[f.name] for f in dataclasses.fields(Config)}))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
