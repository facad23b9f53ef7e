"""Kill runs from micrographs, and of a round by hand: the next start goes on, and ends with the same bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workflow.killing import kill_at_random, unbroken_runs

pytestmark = [pytest.mark.workflow, pytest.mark.faults]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Callable[[str], dict[str, str]]:
    return unbroken_runs(tmp_path_factory.mktemp)


@pytest.mark.parametrize("name", ["micrographs", "by_hand"])
def test_random_kills_lose_one_iteration_at_most_and_no_byte(tmp_path_factory, unbroken, capsys, name):
    told = kill_at_random(name, unbroken, tmp_path_factory.mktemp)
    with capsys.disabled():
        print("\n" + "\n  ".join(told))  # noqa: T201
