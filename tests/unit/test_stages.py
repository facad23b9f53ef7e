"""The clock of stages: what is inside counts for itself, and threads work for the stage that sent them."""

import re
import time

import pytest

from winnow2d.engine.parallel import for_each, ordered_map
from winnow2d.engine.stages import CLOCK, COARSE, FILES, FINE, OTHER, READ, STAGES, StageClock, StageTime, lines, stage


def busy(seconds):
    """Use so much CPU time of this thread."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.fixture
def clock():
    return StageClock()


def test_a_stage_inside_another_counts_for_itself_alone(clock):
    with clock.stage(FINE):
        busy(0.02)
        with clock.stage(COARSE):
            busy(0.05)
        busy(0.01)
    times = clock.times()
    assert 0.03 <= times[FINE].cpu_s < 0.045
    assert 0.05 <= times[COARSE].cpu_s < 0.065
    assert list(times) == [*STAGES, OTHER]
    assert times[FINE].wall_s >= times[FINE].cpu_s * 0.99
    assert times[READ] == StageTime(0.0, 0.0)


def test_what_is_in_no_stage_is_the_rest(clock):
    busy(0.03)
    with clock.stage(FILES):
        time.sleep(0.05)
    times = clock.times()
    assert times[OTHER].cpu_s >= 0.03
    assert times[FILES].cpu_s < 0.02
    assert times[FILES].wall_s >= 0.05
    clock.reset()
    assert clock.times()[FILES] == StageTime(0.0, 0.0)


def test_an_error_ends_a_stage(clock):
    with pytest.raises(ValueError, match="inside"), clock.stage(FINE), clock.stage(COARSE):
        raise ValueError("inside")
    assert clock.current is None


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_count_for_the_stage_that_sent_them(n_threads):
    CLOCK.reset()
    with stage(FINE):
        for_each(n_threads)(lambda _: busy(0.01), range(6))
    times = CLOCK.times()
    assert 0.06 <= times[FINE].cpu_s < 0.09


def test_the_thread_that_waits_for_others_adds_nothing():
    CLOCK.reset()
    with stage(FINE):
        for_each(2)(lambda _: time.sleep(0.3), range(1))
    assert 0.3 <= CLOCK.times()[FINE].wall_s < 0.5


def test_threads_of_no_stage_have_stages_of_their_own():
    CLOCK.reset()

    @stage(READ)
    def read(i):
        busy(0.01)
        return i

    assert list(ordered_map(read, range(4), 2)) == [0, 1, 2, 3]
    assert 0.04 <= CLOCK.times()[READ].cpu_s < 0.06


def test_a_stage_costs_next_to_nothing(clock):
    """A chunk of 32 particles takes some milliseconds and passes through ten stages at most."""
    began = time.thread_time()
    for _ in range(2000):
        with clock.stage(FINE):
            pass
    assert (time.thread_time() - began) / 2000 < 20e-6


def test_a_line_a_stage_with_seconds_and_share():
    times = {READ: StageTime(1.0, 3.0), FINE: StageTime(2.5, 2.5), FILES: StageTime(0.0, 0.0), OTHER: StageTime(0.5, 0)}
    said = lines(times)
    assert [re.split(" {2,}", line)[0] for line in said] == [READ, FINE, OTHER]
    assert said[0].endswith("1.0 s  25.0%, 2.0 s waiting")
    assert said[1].endswith("2.5 s  62.5%")
