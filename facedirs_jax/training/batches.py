"""Batches of training data: which rows each step sees, as a function of seed and step.

A data set is a dict of arrays with a row for each example; they may be memory maps.
Everything here is a `grain.MapDataset` that is indexed by step, so that a run which
goes on at step t sees what an uninterrupted one does.
"""

from collections.abc import Mapping

import grain
import numpy as np

from facedirs_jax.errors import InputError

_ENDLESS = 2**31 - 1  # steps


def epoch_rows(num_rows: int, *, batch: int, seed: int) -> grain.MapDataset:
    """Rows of every step, each row once an epoch, in another order each time.

    Args:
        num_rows: N, of the data.
        batch: B, rows a step; batches run on across the ends of epochs.
        seed: of the orders.

    Returns:
        Step -> [B] int rows.

    Raises:
        InputError: if a batch is larger than the data.
    """
    _check_batch(batch, num_rows)
    return grain.MapDataset.range(num_rows).shuffle(seed=seed).repeat().batch(batch)


def balanced_rows(
    identities: np.ndarray, *, people: int, photos: int, seed: int
) -> grain.MapDataset:
    """Rows of every step: P people, K photos of each, everybody as often as any other.

    Args:
        identities: [N] int, whose each row is.
        people: P.
        photos: K; of a person with fewer, some come twice.
        seed: of the choice.

    Returns:
        Step -> [P * K] int rows, the photos of a person side by side.

    Raises:
        InputError: if there are fewer than P people, or fewer than 2 of anything.
    """
    names, numbers = np.unique(identities, return_inverse=True)
    if people < 2 or photos < 2:
        raise InputError(
            f"triplets need 2 people and 2 photos of each in a batch, got {people} and "
            f"{photos}"
        )
    if people > len(names):
        raise InputError(
            f"a batch of {people} people is larger than the data, which shows "
            f"{len(names)}; lower the batch, or raise the photos of each person"
        )
    order = np.argsort(numbers, kind="stable")
    owned = np.split(order, np.cumsum(np.bincount(numbers))[:-1])
    rounds = len(names) // people  # batches until everybody was drawn

    def rows_of(step: int) -> np.ndarray:
        lap, part = divmod(int(step), rounds)
        everybody = np.random.default_rng((seed, 0, lap)).permutation(len(names))
        draws = np.random.default_rng((seed, 1, int(step)))
        return np.concatenate(
            [
                draws.choice(owned[person], photos, replace=len(owned[person]) < photos)
                for person in everybody[part * people : (part + 1) * people]
            ]
        )

    return grain.MapDataset.range(_ENDLESS).map(rows_of)


def one_after_another(
    first: grain.MapDataset, steps: int, second: grain.MapDataset
) -> grain.MapDataset:
    """The first `steps` of one data set, then another from its start."""
    kept = grain.MapDataset.range(_ENDLESS)
    return kept.map(lambda step: first[step] if step < steps else second[step - steps])


def gathered(
    rows: grain.MapDataset, arrays: Mapping[str, np.ndarray]
) -> grain.MapDataset:
    """Batches of data.

    Args:
        rows: step -> [B] int rows.
        arrays: by name, [N, ...] each.

    Returns:
        Step -> name -> [B, ...].

    Raises:
        ValueError: if the arrays have different numbers of rows.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"arrays of one data set have different lengths: {lengths}")
    return rows.map(lambda at: {name: array[at] for name, array in arrays.items()})


def _check_batch(batch: int, num_rows: int) -> None:
    if not 1 <= batch <= num_rows:
        raise InputError(
            f"a batch of {batch} does not fit data of {num_rows} rows; choose a batch "
            "from 1 to that"
        )
