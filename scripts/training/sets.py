"""Simulated particle sets of every sort, each decided by one number: what is in them and how they are classified."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from winnow2d.demo_options import DemoOptions
from winnow2d.options import Class2DOptions
from winnow2d.records import OpticsGroup, Particles
from winnow2d.simulation import junk, scene
from winnow2d.simulation.dataset import Simulation
from winnow2d.simulation.protein import Shape

SYMMETRIES = ("C1", "C1", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "D2", "D3", "D4", "D7")
BOXES_PX = (32, 40, 48, 64, 80, 96, 128)
BOX_CHANCES = (0.22, 0.2, 0.24, 0.22, 0.06, 0.04, 0.02)
LARGEST_WORK = 3.5e8  # particles x classes x pixels x iterations / 1000: keeps a set to some seconds of one core
FIRST_TYPICAL = 1000  # sets from this number on are as most data are; those before cover everything
_PLAN, _SUBSET = 77, 78  # purposes of random numbers


@dataclass(frozen=True)
class SetPlan:
    """One particle set and the classification of its first round."""

    seed: int
    demo: DemoOptions
    shape: Shape
    junk_shares: dict[str, float]
    other_diameter: float
    rare_share: float
    class2d: Class2DOptions


class VariedSimulation(Simulation):
    """A simulation whose protein, junk and views are those of a plan."""

    def __init__(self, plan: SetPlan, map_values: np.ndarray | None = None, map_pixel_ang: float | None = None):
        self.shape, self.junk_shares, self.other_diameter = plan.shape, plan.junk_shares, plan.other_diameter
        self._rare_share = plan.rare_share
        super().__init__(plan.demo, map_values, map_pixel_ang)

    def _views(self) -> scene.Views:
        return scene.Views(self.options.views, self._rng(6), self._rare_share)


@dataclass
class SimulatedSet:
    """The particles of a set in memory, in the order of their micrographs, with their truth.

    As an image stack it is read by rows.
    """

    images: np.ndarray  # (n, y, x)
    kinds: np.ndarray  # (n,) str
    euler_deg: np.ndarray  # (n, 3)
    shift_ang: np.ndarray  # (n, 2)
    particles: Particles
    optics: list[OpticsGroup]

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Return images (n, y, x) of some rows."""
        return self.images[indices]

    def subset(self, rows: np.ndarray) -> SimulatedSet:
        """Return some of the particles, as a next round gets them: with their angles and offsets."""
        particles = rows_of(self.particles, rows)
        return SimulatedSet(
            self.images[rows], self.kinds[rows], self.euler_deg[rows], self.shift_ang[rows], particles, self.optics
        )


def rows_of(particles: Particles, rows: np.ndarray) -> Particles:
    """Return some of the particles; intensity groups that lose all members go."""
    columns = {name: value[rows] for name, value in vars(particles).items() if isinstance(value, np.ndarray)}
    old, columns["group_index"] = np.unique(columns["group_index"], return_inverse=True)
    return Particles(group_names=[particles.group_names[group] for group in old], **columns)


def draw_plan(seed: int) -> SetPlan:
    """Return the set of a number; proteins, noise, junk and classification all follow from it."""
    return draw_typical_plan(seed) if seed >= FIRST_TYPICAL else draw_wide_plan(seed)


def draw_typical_plan(seed: int) -> SetPlan:
    """Return a set such as people have: enough particles and signal for classes to form, junk of all kinds."""
    wide, rng = draw_wide_plan(seed), np.random.default_rng([seed, _PLAN, 1])
    box = int(rng.choice([40, 48, 64], p=[0.3, 0.4, 0.3]))
    diameter, n = wide.demo.diameter, int(np.exp(rng.uniform(np.log(600), np.log(1800))))
    pixel = float(np.round(diameter / rng.uniform(0.55, 0.78) / box, 3))
    demo = dataclasses.replace(
        wide.demo, particles=n, box=box, pixel_size=pixel, micrographs=max(5, n // int(rng.integers(50, 130))),
        snr=float(np.round(np.exp(rng.uniform(np.log(0.2), np.log(1.5))), 4)),
        junk=float(np.round(rng.uniform(0.05, 0.6), 3)),
        shift=float(np.round(diameter / pixel * np.exp(rng.uniform(np.log(0.015), np.log(0.1))), 3)),
    )  # fmt: skip
    do_em = bool(rng.random() < 0.6)
    iterations = int(rng.integers(12, 21) if do_em else rng.integers(40, 90))
    class2d = dataclasses.replace(
        wide.class2d, nr_classes=int(np.clip(n / np.exp(rng.uniform(np.log(20), np.log(120))), 10, 40)),
        do_em=do_em, do_grad=not do_em, nr_iter_em=iterations, nr_iter_grad=iterations,
        tau_fudge=float(rng.choice([2.0, 2.0, 2.0, 2.0, 1.0, 4.0])), psi_sampling=6.0, offset_range=5.0,
        offset_step=1.0, particle_diameter=float(np.round(min(diameter * rng.uniform(1.05, 1.35), 0.98 * box * pixel))),
    )  # fmt: skip
    return dataclasses.replace(wide, demo=demo, class2d=class2d, junk_shares=draw_junk_shares(rng, spread=0.5),
                               other_diameter=float(rng.uniform(0.45, 0.8)))  # fmt: skip


def draw_wide_plan(seed: int) -> SetPlan:
    """Return a set of any sort, down to such as hardly allow classes."""
    rng = np.random.default_rng([seed, _PLAN])
    box = int(rng.choice(BOXES_PX, p=BOX_CHANCES))
    diameter = float(np.round(np.exp(rng.uniform(np.log(70), np.log(400)))))
    pixel = float(np.round(diameter / rng.uniform(0.5, 0.78) / box, 3))
    n = int(np.exp(rng.uniform(np.log(300), np.log(4000))))
    views = int(rng.choice([0, 0, 0, 2, 3, 4, 6]))
    is_stained = rng.random() < 0.12
    snr = np.exp(rng.uniform(np.log(1.0), np.log(5.0))) if is_stained else np.exp(rng.uniform(np.log(0.1), np.log(2.0)))
    demo = DemoOptions(
        particles=n, seed=seed, box=box, pixel_size=pixel, micrographs=max(3, n // int(rng.integers(40, 120))),
        symmetry=str(rng.choice(SYMMETRIES)), diameter=diameter, snr=float(np.round(snr, 4)),
        junk=float(np.round(rng.choice([rng.uniform(0.05, 0.25), rng.uniform(0.2, 0.5), rng.uniform(0.4, 0.7)]), 3)),
        shift=float(np.round(diameter / pixel * np.exp(rng.uniform(np.log(0.01), np.log(0.12))), 3)),
        views=views, amplitude_contrast=0.25 if is_stained else 0.1,
        voltage=float(rng.choice([120.0, 200.0, 300.0])),
    )  # fmt: skip
    return SetPlan(
        seed, demo, str(rng.choice(["compact", "compact", "elongated", "flat", "hollow"])),  # type: ignore[arg-type]
        draw_junk_shares(rng), float(rng.uniform(0.4, 0.9)),
        0.02 if views > 1 and rng.random() < 0.5 else 0.0,
        draw_classification(demo, rng),
    )  # fmt: skip


def draw_junk_shares(rng: np.random.Generator, spread: float = 0.9) -> dict[str, float]:
    """Return shares of the kinds of junk: the usual ones more or less by `spread` in logarithm, some kinds missing."""
    factor = np.exp(rng.normal(0, spread, len(junk.SHARES))) * (rng.random(len(junk.SHARES)) > 0.12)
    if not factor.any():
        factor[:] = 1
    return {kind: float(share * f) for (kind, share), f in zip(junk.SHARES.items(), factor, strict=True)}


def draw_classification(demo: DemoOptions, rng: np.random.Generator) -> Class2DOptions:
    """Return how a set is classified: EM or VDAM, few or many iterations, coarse or fine sampling."""
    do_em = bool(rng.random() < 0.55)
    members = np.exp(rng.uniform(np.log(8), np.log(150)))
    k = int(np.clip(demo.particles / members, 8, 200))
    iterations = int(rng.integers(8, 26) if do_em else rng.integers(20, 90))
    is_fine = rng.random() < 0.3
    work = demo.particles * demo.box**2 / 1e3 * (iterations if do_em else iterations / 4) * (3 if is_fine else 1)
    k = max(min(k, int(LARGEST_WORK / work)), 8)
    length_ang = demo.box * demo.pixel_size
    return Class2DOptions(
        nr_classes=k, do_em=do_em, do_grad=not do_em, nr_iter_em=iterations, nr_iter_grad=iterations,
        tau_fudge=float(rng.choice([2.0, 2.0, 2.0, 1.0, 4.0])),
        particle_diameter=float(np.round(min(demo.diameter * rng.uniform(1.02, 1.4), 0.98 * length_ang))),
        psi_sampling=6.0 if is_fine else 12.0, offset_range=5.0 if is_fine else float(rng.choice([3.0, 5.0])),
        offset_step=1.0 if is_fine else 2.0,
    )  # fmt: skip


def simulate(plan: SetPlan, simulation: Simulation | None = None) -> SimulatedSet:
    """Return the particles of a plan, or those of a simulation made otherwise."""
    simulation = simulation or VariedSimulation(plan)
    micrographs = list(simulation.micrographs())
    group = np.repeat(np.arange(len(micrographs)), [len(each.kinds) for each in micrographs])
    row = np.array([each.index for each in micrographs])[group]
    ctfs, n = simulation.ctfs, len(group)
    particles = Particles(
        optics_group=np.zeros(n, np.int64), group_index=group, group_names=[each.name for each in micrographs],
        defocus_u_ang=ctfs.defocus_u_ang[row], defocus_v_ang=ctfs.defocus_v_ang[row],
        defocus_angle_deg=ctfs.defocus_angle_deg[row], phase_shift_deg=ctfs.phase_shift_deg[row],
        ctf_bfactor_ang2=np.zeros(n), ctf_scale=np.ones(n), psi_deg=np.zeros(n), offset_ang=np.zeros((n, 2)),
        class_index=np.full(n, -1), norm_correction=np.ones(n), log_likelihood=np.zeros(n),
        max_probability=np.zeros(n), n_significant=np.zeros(n, np.int64),
    )  # fmt: skip
    return SimulatedSet(
        np.concatenate([each.images for each in micrographs]), np.concatenate([each.kinds for each in micrographs]),
        np.concatenate([each.euler_deg for each in micrographs]),
        np.concatenate([each.shift_ang for each in micrographs]), particles, [simulation.optics],
    )  # fmt: skip


def keep_roughly(good_share: np.ndarray, class_index: np.ndarray, seed: int, round_number: int) -> np.ndarray:
    """Return the rows a selection with errors keeps, so that later rounds see junk as it is left over.

    Parameters
    ----------
    good_share : (k,) of each class, from the truth
    class_index : (n,)
    """
    rng = np.random.default_rng([seed, _SUBSET, round_number])
    kept = good_share + rng.normal(0, rng.choice([0.03, 0.15, 0.3]), len(good_share)) >= rng.uniform(0.3, 0.65)
    return np.flatnonzero((class_index >= 0) & kept[class_index])
