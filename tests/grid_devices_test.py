"""The grid over more devices than the other tests have."""

import concurrent.futures
import multiprocessing

import pytest
from staged import eight_devices_apart


@pytest.fixture(scope="module")
def apart():
    """Of chunks of 5, which 8 does not divide and which do not divide 36 cells."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(eight_devices_apart, 5).result()


@pytest.mark.parametrize("regional", ["off", "on"])
def test_eight_devices_give_the_sums_and_directions_of_one(apart, regional):
    found = apart[regional]
    assert found.keys() == {
        *("by_face", "by_region", "face_moments", "region_moments", "covariance")
    }
    assert max(found.values()) <= 1e-6, found
