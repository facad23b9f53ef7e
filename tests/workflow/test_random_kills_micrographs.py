"""Kill a run from micrographs at random moments: the next start goes on, and ends with the same bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workflow.killing import kill_at_random, unbroken_runs

pytestmark = [pytest.mark.workflow, pytest.mark.faults]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Callable[[str], dict[str, str]]:
    return unbroken_runs(tmp_path_factory.mktemp)


def test_random_kills_lose_one_iteration_at_most_and_no_byte(tmp_path_factory, unbroken, capsys):
    told = kill_at_random("micrographs", unbroken, tmp_path_factory.mktemp)
    with capsys.disabled():
        print("\n" + "\n  ".join(told))  # noqa: T201
