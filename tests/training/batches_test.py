"""Batches: every row in its turn, as a function of seed and step."""

from typing import Any

import numpy as np
import pytest

from facedirs_jax.errors import InputError
from facedirs_jax.training import batches


def test_an_epoch_holds_every_row_once_and_the_next_in_another_order():
    rows: Any = batches.epoch_rows(12, batch=4, seed=1)
    epochs = [np.concatenate([rows[3 * n + i] for i in range(3)]) for n in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 2
    assert list(epochs[0]) != list(epochs[1])


def test_batches_run_on_across_the_end_of_an_epoch():
    rows: Any = batches.epoch_rows(10, batch=4, seed=0)
    seen = np.concatenate([rows[step] for step in range(5)])
    assert sorted(seen) == sorted([*range(10)] * 2)


def test_a_step_has_the_same_rows_whoever_asks():
    one: Any = batches.epoch_rows(50, batch=8, seed=3)
    other: Any = batches.epoch_rows(50, batch=8, seed=3)
    later = list(one[7:9].to_iter_dataset())
    np.testing.assert_array_equal(later[1], other[8])
    different: Any = batches.epoch_rows(50, batch=8, seed=4)
    assert list(different[8]) != list(other[8])


@pytest.mark.parametrize("batch", [0, 11])
def test_a_batch_must_fit_the_data(batch):
    with pytest.raises(InputError, match=f"a batch of {batch} does not fit data of 10"):
        batches.epoch_rows(10, batch=batch, seed=0)


PEOPLE = np.repeat(["ann", "bob", "cid", "dee", "eve"], [4, 3, 5, 1, 4])


def test_a_balanced_batch_holds_some_people_with_as_many_photos_each():
    rows: Any = batches.balanced_rows(PEOPLE, people=2, photos=3, seed=0)
    for step in range(20):
        names = PEOPLE[rows[step]].reshape(2, 3)
        assert (names == names[:, :1]).all()
        assert names[0, 0] != names[1, 0]
        for of_one in rows[step].reshape(2, 3):
            enough = PEOPLE[of_one[0]] != "dee"
            assert len(set(of_one)) == (3 if enough else 1)


def test_everybody_is_drawn_once_before_anybody_is_drawn_again():
    rows: Any = batches.balanced_rows(PEOPLE, people=2, photos=2, seed=0)
    for lap in range(6):
        two = [PEOPLE[rows[2 * lap + part]][::2] for part in range(2)]
        assert len(set(np.concatenate(two))) == 4
    order = [rows[step].tolist() for step in range(6)]
    again: Any = batches.balanced_rows(PEOPLE, people=2, photos=2, seed=0)
    assert order == [again[step].tolist() for step in range(6)]


def test_people_that_are_not_there_are_refused():
    with pytest.raises(InputError, match=r"6 people is larger than the data, .* 5"):
        batches.balanced_rows(PEOPLE, people=6, photos=2, seed=0)
    with pytest.raises(InputError, match="2 people and 2 photos"):
        batches.balanced_rows(PEOPLE, people=2, photos=1, seed=0)


def test_one_data_set_follows_another():
    first, second = (batches.epoch_rows(6, batch=2, seed=seed) for seed in (0, 1))
    both: Any = batches.one_after_another(first, 4, second)
    np.testing.assert_array_equal(both[3], first[3])
    np.testing.assert_array_equal(both[4], second[0])
    np.testing.assert_array_equal(list(both[3:6].to_iter_dataset())[2], second[1])


def test_batches_are_the_rows_of_all_arrays():
    rows: Any = batches.epoch_rows(6, batch=4, seed=0)
    data = {"images": np.arange(12).reshape(6, 2), "labels": np.arange(6) * 2}
    gathered: Any = batches.gathered(rows, data)
    batch = gathered[2]
    np.testing.assert_array_equal(batch["labels"], batch["images"][:, 0])
    with pytest.raises(ValueError, match="different lengths"):
        batches.gathered(rows, {"a": np.ones(3), "b": np.ones(4)})
