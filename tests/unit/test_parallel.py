"""Work is cut by the data, never by the machine."""

import threading
import time
from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from winnow2d.engine.parallel import CHUNK, SMALLEST_CHUNK, chunks, one_blas_thread, ordered_map, spread


def test_results_come_in_the_order_of_the_items():
    names = set()

    def slow_first(i):
        names.add(threading.current_thread().name)
        time.sleep(0.02 if i == 0 else 0.001)
        return i * i

    for n_threads in (1, 3):
        assert list(ordered_map(slow_first, range(12), n_threads)) == [i * i for i in range(12)]
    assert len(names) > 1


def test_places_take_turns_and_results_come_in_order():
    seen = {}

    def slow_first(place, i):
        seen.setdefault(place, set()).add((i, threading.current_thread().name))
        time.sleep(0.02 if i == 0 else 0.001)
        return place, i

    assert list(spread(slow_first, range(5), "ab")) == [("a", 0), ("b", 1), ("a", 2), ("b", 3), ("a", 4)]
    threads = [{name for _, name in calls} for calls in seen.values()]
    assert [len(names) for names in threads] == [1, 1]
    assert not threads[0] & threads[1]


def test_after_a_failure_no_more_is_begun():
    begun = []

    def fail(place, i):
        begun.append(i)
        time.sleep(0.01)
        raise MemoryError

    with pytest.raises(MemoryError):
        list(spread(fail, range(100), "ab"))
    with pytest.raises(MemoryError):
        list(ordered_map(partial(fail, "a"), range(100), 2))
    assert len(begun) < 20
    n_begun = len(begun)
    time.sleep(0.05)
    assert len(begun) == n_begun


def test_every_particle_is_in_one_chunk():
    rows = np.arange(5 * CHUNK + 3)
    parts = chunks(rows)
    assert {len(part) for part in parts[:-1]} == {CHUNK}
    assert CHUNK % SMALLEST_CHUNK == 0
    np.testing.assert_array_equal(np.concatenate(parts), rows)


def test_matrix_products_use_one_thread():
    np.ones((4, 4)) @ np.ones((4, 4))
    with one_blas_thread():
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {1}
