"""Simulate sets, classify them and keep every stage with its truth: python -m training.jobs OUT --seeds 1 40."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training import cache
from training.sets import FIRST_TYPICAL, SetPlan, SimulatedSet, draw_plan, keep_roughly, simulate
from winnow2d.engine.classify import Classifier
from winnow2d.errors import WinnowError
from winnow2d.options import Class2DOptions, OwnOptions
from winnow2d.records import Iteration

STAGES_PER_SET = 10  # job number = seed x this + stage
LATER_ROUNDS = 2
SMALLEST_SET = 100  # particles a next round needs

logger = logging.getLogger("training")


def classified(
    particles: SimulatedSet, class2d: Class2DOptions, seed: int, snapshots: tuple[int, ...] = ()
) -> Iterator[Iteration]:
    """Yield the iterations of a classification that are asked for, and its last."""
    own = OwnOptions(random_seed=seed, device="cpu")
    run = Classifier(particles, particles.particles, particles.optics, class2d, own)
    while not run.done:
        iteration = run.update()
        if iteration.number in snapshots or run.done:
            yield iteration


def later_classification(first: Class2DOptions, n: int, seed: int, round_number: int) -> Class2DOptions:
    """Return how the particles that are left are classified: with as many classes or fewer."""
    rng = np.random.default_rng([seed, 79, round_number])
    k = int(np.clip(first.nr_classes * rng.uniform(0.4, 1.0), 6, max(6, n // 6)))
    return dataclasses.replace(first, nr_classes=k)


def stages_of(plan: SetPlan, particles: SimulatedSet) -> Iterator[tuple[int, int, Iteration, np.ndarray]]:
    """Yield stage, round, iteration and rows in the whole set: early and late in round 1, then later rounds."""
    rows, class2d = np.arange(len(particles.kinds)), plan.class2d
    kind_of = np.array([cache.KIND_NAMES.index(kind) for kind in particles.kinds])
    n_rounds = 1 + (LATER_ROUNDS if plan.seed < FIRST_TYPICAL else 1)
    for round_number in range(1, n_rounds + 1):
        early = (max(4, class2d.n_iterations // 3),) if round_number == 1 and class2d.do_em else ()
        part = particles.subset(rows)
        for last in classified(part, class2d, plan.seed + round_number, early):
            stage = 0 if last.number in early else round_number
            yield stage, round_number, last, rows
        index = last.particles.class_index
        share = cache.share_of(*cache.class_truth(index, kind_of[rows], class2d.nr_classes))
        kept = keep_roughly(np.nan_to_num(share, nan=0.5), index, plan.seed, round_number)
        particles.particles = spread(particles.particles, rows, last)
        rows = rows[kept]
        if len(rows) < SMALLEST_SET:
            return
        class2d = later_classification(plan.class2d, len(rows), plan.seed, round_number)


def spread(whole: Any, rows: np.ndarray, last: Iteration) -> Any:
    """Return the whole set's particles with the angles and offsets that some of them have now."""
    psi_deg, offset_ang = whole.psi_deg.copy(), whole.offset_ang.copy()
    psi_deg[rows], offset_ang[rows] = last.particles.psi_deg, last.particles.offset_ang
    return dataclasses.replace(whole, psi_deg=psi_deg, offset_ang=offset_ang)


def make_set(out: Path, seed: int) -> int:
    """Write all stages of a set and return how many there are; stages that are there already are made anew."""
    plan = draw_plan(seed)
    particles = simulate(plan)
    kind = np.array([cache.KIND_NAMES.index(name) for name in particles.kinds])
    n_written = 0
    for stage, round_number, iteration, rows in stages_of(plan, particles):
        truth = dict(kind=kind[rows], euler_deg=particles.euler_deg[rows], shift_ang=particles.shift_ang[rows],
                     row=rows)  # fmt: skip
        facts = dict(
            seed=seed, stage=stage, round=round_number, is_em=plan.class2d.do_em,
            diameter_ang=plan.class2d.particle_diameter, particle_diameter_ang=plan.demo.diameter,
            snr=plan.demo.snr, shape=plan.shape, symmetry=plan.demo.symmetry,
        )  # fmt: skip
        cache.write_job(out / f"job_{seed * STAGES_PER_SET + stage:05d}.npz", iteration, truth, facts)
        n_written += 1
    return n_written


def main(arguments: list[str] | None = None) -> int:
    """Make the sets of a range of seeds; those that are there already are left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs=2, default=(1, 240), metavar=("FIRST", "LAST"))
    parser.add_argument("--minutes", type=float, default=1e9, help="start no further set after this time")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logger.setLevel(logging.INFO)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "README").write_text(str(cache.__doc__), encoding="utf-8")
    began = time.monotonic()
    for seed in range(chosen.seeds[0], chosen.seeds[1] + 1):
        if list(chosen.out.glob(f"job_{seed * STAGES_PER_SET + 1:05d}.npz")):
            continue
        if time.monotonic() - began > 60 * chosen.minutes:
            break
        start = time.process_time()
        try:
            n = make_set(chosen.out, seed)
        except WinnowError as error:
            logger.warning("set %d: %s", seed, error)
            continue
        logger.info("set %d: %d stages, %.1f s", seed, n, time.process_time() - start)
    return 0


if __name__ == "__main__":
    sys.exit(main())
