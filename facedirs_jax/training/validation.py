"""How well a network tells people apart that it was not trained on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.evaluation import roc
from facedirs_jax.evaluation.verification import (
    FARS,
    Pairs,
    Verification,
    verification_pairs,
    verify,
)
from facedirs_jax.templates import embed

METRIC = "cosine"  # fits raw templates and those of unit length
_RESAMPLES = 500


class HeldOut(NamedTuple):
    """Faces of people that are not trained on.

    Attributes:
        crops: [N, S, S, 3] uint8 RGB.
        identities: [N] str or int, whose each is.
    """

    crops: np.ndarray
    identities: np.ndarray


def first_people(identities: np.ndarray, people: int | None) -> np.ndarray:
    """Which faces show one of the first so many people.

    Args:
        identities: [N], whose each is.
        people: how many, in order of their first face; None for all.

    Returns:
        [N] bool.
    """
    names = list(dict.fromkeys(identities.tolist()))
    return np.isin(identities, names[:people])


def pairs_of(network: Any, preprocess: Preprocess, held_out: HeldOut) -> Pairs:
    """Compares all faces with all.

    Args:
        network: as by `load_backbone`.
        preprocess: of the network.
        held_out: [N, S, S, 3] crops as preprocess says, of 2 people or more.

    Returns:
        Pairs by cosine distance, [P] each.

    Raises:
        InputError: if a template is not finite, or no rates can be told.
    """
    templates = np.asarray(embed(network, preprocess, held_out.crops))
    return verification_pairs(templates, held_out.identities, metric=METRIC)


def rates(pairs: Pairs) -> dict[str, float]:
    """Verification rates of [P] pairs without intervals, quickly.

    Returns:
        `auc`, `eer`, and `tar_at_far_...` for the rates that so many pairs can show.
    """
    curve = roc.roc_curve(pairs.distances, pairs.same)
    shown = [far for far in FARS if curve.impostor_pairs * far >= 1]
    return {
        "auc": roc.auc(curve),
        "eer": roc.equal_error_rate(curve),
        **{f"tar_at_far_{far:g}": roc.tar_at_far(curve, far) for far in shown},
    }


def rates_with_intervals(pairs: Pairs, *, seed: int = 0) -> dict[str, Any]:
    """The same of [P] pairs, with intervals of 95 % from resampled people.

    Args:
        pairs: of `pairs_of`.
        seed: of the resampling.

    Returns:
        Counts as numbers, rates as {"value", "low", "high"}; plain JSON values.
    """
    found: Verification = verify(pairs, seed=seed, resamples=_RESAMPLES)
    measured = {
        "auc": found.auc,
        "eer": found.eer,
        **{f"tar_at_far_{far:g}": rate for far, rate in found.tar.items()},
    }
    return {
        "identities": found.identities,
        "genuine_pairs": found.genuine_pairs,
        "impostor_pairs": found.impostor_pairs,
        "metric": METRIC,
        **{name: rate._asdict() for name, rate in measured.items()},
    }


def evaluation(
    network_of: Callable[[Any], Any], preprocess: Preprocess, held_out: HeldOut
) -> Callable[[Any], dict[str, float]]:
    """What `loop.train` calls after each epoch.

    Args:
        network_of: training state -> network to embed with.
        preprocess: of the network.
        held_out: [N, S, S, 3] crops to compare.

    Returns:
        State -> rates.
    """
    return lambda state: rates(pairs_of(network_of(state), preprocess, held_out))
