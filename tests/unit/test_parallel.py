"""Work is cut by the data, never by the machine."""

import threading
import time

import numpy as np
from threadpoolctl import threadpool_info

from winnow2d.engine.parallel import CHUNK, batches, chunks, one_blas_thread, ordered_map


def test_results_come_in_the_order_of_the_items():
    names = set()

    def slow_first(i):
        names.add(threading.current_thread().name)
        time.sleep(0.02 if i == 0 else 0.001)
        return i * i

    for n_threads in (1, 3):
        assert list(ordered_map(slow_first, range(12), n_threads)) == [i * i for i in range(12)]
    assert len(names) > 1


def test_every_particle_is_in_one_chunk_of_one_batch(monkeypatch):
    rows = np.arange(5 * CHUNK + 3)
    parts = chunks(rows)
    assert {len(part) for part in parts[:-1]} == {CHUNK}
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    monkeypatch.setattr("winnow2d.engine.parallel.CHUNKS_PER_BATCH", 2)
    assert [list(batch) for batch in batches(range(5))] == [[0, 1], [2, 3], [4]]


def test_matrix_products_use_one_thread():
    np.ones((4, 4)) @ np.ones((4, 4))
    with one_blas_thread():
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {1}
