"""Ratios of times that were measured in turns."""

import statistics
from collections.abc import Sequence


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest of the ratios of two series, round by round."""
    pairs = sorted(a / b for a, b in zip(above, below, strict=True))
    return {
        "median": round(statistics.median(pairs), 3),
        "low": round(pairs[0], 3),
        "high": round(pairs[-1], 3),
    }
