"""Lines seen through distances that saturate: what a bend in a map can be without one.

Distances between far-off points often tell no more than "far". Then points on a
straight line have distances f(|u_i - u_j|) whose f flattens, and their map is bent like
a horseshoe (Diaconis, Goel and Holmes, Horseshoes in multidimensional scaling and local
kernel methods, Annals of Applied Statistics 2008).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

_HEIGHTS = (1.02, 1.5, 6.0)  # of the ceiling to start from, over the largest distance
_CEILINGS = (0.2, 400.0)  # that are tried; the last leaves no bend worth the name
_STEPS = (1e-5, 30.0)  # between neighbours on the line, where f(30) is its ceiling
_EVALUATIONS = 100


class Saturation(NamedTuple):
    """A function of the distance u >= 0 along a line, f(0) = 0, that tends to 1.

    Each is the distance of points on some curve in a flat space, so that it has a map
    without error, if one of many dimensions.

    Attributes:
        value: f of [M] distances, [M].
        slope: its derivative, [M].
        inverse: u of [M] values of f, [M].
    """

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]


def _root(u: np.ndarray) -> np.ndarray:
    return np.sqrt(-np.expm1(-u))


def _bell(u: np.ndarray) -> np.ndarray:
    return np.sqrt(-np.expm1(-(u**2)))


SATURATIONS = {
    # Of Diaconis, Goel and Holmes; curves that turn gently.
    "1 - exp(-u)": Saturation(
        lambda u: -np.expm1(-u), lambda u: np.exp(-u), lambda f: -np.log1p(-f)
    ),
    # A random walk that forgets: curves that turn at every step.
    "sqrt(1 - exp(-u))": Saturation(
        _root, lambda u: np.exp(-u) / (2 * _root(u)), lambda f: -np.log1p(-(f**2))
    ),
    # Bell-shaped similarity: the smoothest curves.
    "sqrt(1 - exp(-u^2))": Saturation(
        _bell,
        lambda u: u * np.exp(-(u**2)) / _bell(u),
        lambda f: np.sqrt(-np.log1p(-(f**2))),
    ),
}


class Line(NamedTuple):
    """K points on a line that explain distances by a saturation.

    Attributes:
        places: [K] float64, increasing, the first 0; in units of the saturation.
        ceiling: distance that it tends to.
        distances: [K, K] float64, those of the points.
        error: stress-1 of these distances to those explained.
    """

    places: np.ndarray
    ceiling: float
    distances: np.ndarray
    error: float


def fit_line(distances: np.ndarray, saturation: Saturation) -> Line:
    """Finds the points on a line, in their order, that explain distances best.

    Minimises sum_(i<j) (a f(u_j - u_i) - D_ij)^2 over the ceiling a and the places u,
    by least squares from several ceilings.

    Args:
        distances: [K, K] float64, D, not all 0; points in the order of the line.
        saturation: f.

    Returns:
        Line of [K] places.
    """
    first, second = np.triu_indices(len(distances), 1)
    largest = distances.max()
    wanted = distances[first, second] / largest
    gaps = np.arange(len(distances) - 1)
    covers = (first[:, None] <= gaps) & (gaps < second[:, None])  # [pairs, K - 1]

    def errors(asked: np.ndarray) -> np.ndarray:
        apart = covers @ np.exp(asked[1:])
        return np.exp(asked[0]) * saturation.value(apart) - wanted

    def slopes(asked: np.ndarray) -> np.ndarray:
        steps = np.exp(asked[1:])
        apart = covers @ steps
        by_step = saturation.slope(apart)[:, None] * covers * steps[None]
        parts = np.column_stack([saturation.value(apart), by_step])
        return np.exp(asked[0]) * parts

    exact: Any = slopes  # least_squares is typed to take the names of methods only
    low, high = (np.log([_CEILINGS[end], *[_STEPS[end]] * len(gaps)]) for end in (0, 1))
    found = []
    for height in _HEIGHTS:
        near = np.diagonal(distances, 1) / (height * largest)
        steps = saturation.inverse(np.clip(near, 1e-4, 0.97))
        start = np.log([height, *steps])
        found.append(
            optimize.least_squares(
                *(errors, np.clip(start, low + 1e-6, high - 1e-6), exact),
                bounds=(low, high),
                max_nfev=_EVALUATIONS,
            )
        )
    best = min(found, key=lambda fitted: fitted.cost)
    return _line(best.x, largest, saturation, distances)


def _line(
    asked: np.ndarray, largest: float, saturation: Saturation, distances: np.ndarray
) -> Line:
    ceiling = float(np.exp(asked[0]) * largest)
    places = np.concatenate([[0.0], np.cumsum(np.exp(asked[1:]))])
    apart = np.abs(places[:, None] - places[None, :])
    explained = np.zeros_like(distances)
    off = ~np.eye(len(distances), dtype=bool)
    explained[off] = ceiling * saturation.value(apart[off])
    error = np.sum((explained - distances) ** 2) / np.sum(explained**2)
    return Line(places, ceiling, explained, float(np.sqrt(error)))


def monotone(distances: np.ndarray) -> np.ndarray:
    """The nearest distances that never fall as points of an order lie further apart.

    So are those of every line, through any function that never falls: what contains a
    stretch is as long as it or longer. Nearest by the largest error: the mean of the
    largest distance within each stretch and the smallest that contains it.

    Args:
        distances: [K, K], symmetric, points in their order.

    Returns:
        [K, K] float64, symmetric, 0 on the diagonal.
    """
    upper = np.triu(np.asarray(distances, np.float64), 1)
    within, around = upper.copy(), upper.copy()
    size = len(upper)
    for length in range(2, size):
        i = np.arange(size - length)
        shorter = np.maximum(within[i, i + length - 1], within[i + 1, i + length])
        within[i, i + length] = np.maximum(within[i, i + length], shorter)
    for length in range(size - 2, 0, -1):
        i = np.arange(size - length)
        longer = np.full(len(i), np.inf)
        longer[:-1] = around[i[:-1], i[:-1] + length + 1]
        longer[1:] = np.minimum(longer[1:], around[i[1:] - 1, i[1:] + length])
        around[i, i + length] = np.minimum(around[i, i + length], longer)
    middle = (within + around) / 2
    return middle + middle.T
