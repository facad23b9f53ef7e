import math

import numpy as np
import pytest

from winnow2d import demands
from winnow2d.config import check_config
from winnow2d.plan import Plan


def plan_of(**changes):
    raw = {"input": {"particles": "in.star"}, "class2d": {"nr_classes": 50, "do_em": True, "particle_diameter": 200}}
    return Plan(check_config(raw | {"rounds": [{}, {"class2d": {"nr_classes": 30}}]} | changes))


def write_rows(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "data_particles\n\nloop_\n_rlnImageName #1\n" + "".join(f"{i}@a.mrcs\n" for i in range(1, number + 1))
    )


def test_rows_are_counted_but_for_the_head_of_the_table(project):
    write_rows(project / "in.star", 1000)
    assert 1000 <= demands.count_rows("in.star") <= 1010
    np.save(project / "x.npy", np.zeros(77, dtype=[("uid", "<u8"), ("blob/idx", "<u4")]))
    (project / "x.npy").rename("in.cs")
    assert demands.count_rows("in.cs") == 77
    assert demands.count_rows("missing.star") is None
    (project / "broken.cs").write_text("no array")
    assert demands.count_rows("broken.cs") is None


def test_a_file_that_grew_is_counted_again(project):
    write_rows(project / "in.star", 10)
    before = demands.count_rows("in.star")
    write_rows(project / "in.star", 20)
    assert demands.count_rows("in.star") == before + 10


def test_particles_are_those_there_are_else_those_that_enter(project):
    plan = plan_of()
    first, second = plan.blocks
    assert demands.expected_particles(plan, first) == demands.UNKNOWN
    write_rows(project / "in.star", 5000)
    entering = demands.count_rows("in.star")
    assert [demands.expected_particles(plan, block) for block in (None, first, second)] == [entering] * 3
    write_rows(project / "Select/job012/particles.star", 300)
    assert demands.expected_particles(plan, second) < 320
    assert demands.expected_particles(plan) == entering


def test_a_part_of_a_first_round_has_its_part(project):
    write_rows(project / "in.star", 4000)
    plan = plan_of(own={"splits": 4})
    entering = demands.count_rows("in.star")
    assert demands.expected_particles(plan, plan.blocks[2]) == math.ceil(entering / 4)
    assert demands.expected_particles(plan, plan.blocks[4]) == entering


def test_simulated_particles_are_counted_from_the_config(project):
    plan = Plan(check_config({"input": {"demo": {"particles": 321}}, "rounds": [{}]}))
    assert demands.expected_particles(plan, plan.blocks[0]) == 321


@pytest.mark.parametrize(
    "ask",
    [
        lambda n, attempt: demands.table_mb(n, attempt),
        lambda n, attempt: demands.micrographs_mb(8, n, attempt),
        lambda n, attempt: demands.class2d_mb(plan_of().blocks[0].round, n, 8, attempt),
        lambda n, attempt: demands.class2d_min(plan_of().blocks[0].round, n, 8, attempt),
        lambda n, attempt: demands.table_min(n, attempt),
    ],
)
def test_more_particles_and_each_further_attempt_ask_for_more(ask):
    small, large, retried, again = ask(10_000, 1), ask(2_000_000, 1), ask(10_000, 2), ask(10_000, 3)
    assert small < large
    assert small < retried < again
    assert all(isinstance(each, int) for each in (small, large, retried, again))


def test_a_million_particles_fit_a_node_and_a_day():
    item = plan_of(class2d={"nr_classes": 100, "particle_diameter": 200}).blocks[0].round
    assert 8_000 < demands.class2d_mb(item, 1_000_000, 16) < 32_000
    assert 60 < demands.class2d_min(item, 1_000_000, 16) <= demands.LONGEST_MIN
    assert demands.class2d_min(item, 100_000_000, 16) == demands.LONGEST_MIN
    assert demands.class2d_min(item, 100_000_000, 16, attempt=2) == demands.LONGEST_MIN


def test_mini_batches_take_less_time_than_as_many_passes():
    em = plan_of(class2d={"do_em": True, "nr_iter_em": 200, "particle_diameter": 200}).blocks[0].round
    vdam = plan_of(class2d={"particle_diameter": 200}).blocks[0].round
    assert demands.full_passes(vdam) < demands.full_passes(em) / 5
