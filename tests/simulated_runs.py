"""Short classifications, in memory, of simulated particles with junk, noise and, if asked for, close neighbours."""

from dataclasses import dataclass

import numpy as np

from winnow2d.demo_options import DemoOptions
from winnow2d.engine.classify import Classifier
from winnow2d.options import Class2DOptions, OwnOptions
from winnow2d.records import Particles
from winnow2d.simulation import scene
from winnow2d.simulation.dataset import Simulation


@dataclass
class SimulatedSet:
    """A stack in memory with its table; `read` makes it a stack for the Classifier."""

    images: np.ndarray
    particles: Particles
    optics: list

    def read(self, rows):
        return self.images[rows]


class CrowdedScene(scene.SceneDirector):
    """Puts up to six neighbours around every good particle, at `distances` (from, to) in diameters."""

    distances = (1.0, 1.15)
    chance = 0.9

    def draw(self, row, kind, copies, rng):
        pose = super().draw(row, kind, copies, rng)
        turned = rng.uniform(0, 2 * np.pi)
        for place in range(6 if kind == "good" else 0):
            if rng.random() < self.chance:
                angle = turned + place * np.pi / 3 + rng.normal(0, 0.12)
                away = rng.uniform(*self.distances) * self._diameter_px
                position = away * np.array([np.cos(angle), np.sin(angle)])
                copies.add(row, scene.PROTEIN, self._views.draw(rng), position)
        return pose


def simulated(is_crowded=False, **options):
    """Return a SimulatedSet of `DemoOptions(**options)`."""
    simulation = Simulation(DemoOptions(**options))
    if is_crowded:
        simulation._director.__class__ = CrowdedScene
    parts = list(simulation.micrographs())
    index = np.concatenate([np.full(len(part.images), part.index) for part in parts])
    present, group = np.unique(index, return_inverse=True)
    ctfs, n = simulation.ctfs, len(index)
    zeros = {name: np.zeros(n) for name in ("phase_shift_deg", "ctf_bfactor_ang2", "psi_deg", "log_likelihood")}
    particles = Particles(
        optics_group=np.zeros(n, np.int64), group_index=group, group_names=[ctfs.names[i] for i in present],
        defocus_u_ang=ctfs.defocus_u_ang[index], defocus_v_ang=ctfs.defocus_v_ang[index],
        defocus_angle_deg=ctfs.defocus_angle_deg[index], ctf_scale=np.ones(n), offset_ang=np.zeros((n, 2)),
        class_index=np.full(n, -1), norm_correction=np.ones(n), max_probability=np.zeros(n),
        n_significant=np.zeros(n, np.int64), **zeros,
    )  # fmt: skip
    return SimulatedSet(np.concatenate([part.images for part in parts]), particles, [simulation.optics])


def classified(particle_set, seed=3, **options):
    """Return the last iteration of a classification; EM unless `do_grad` is asked for."""
    options = {"do_grad": False, "nr_iter_em": 15} | options
    options["do_em"] = not options["do_grad"]
    own = OwnOptions(random_seed=seed, device="cpu")
    classifier = Classifier(particle_set, particle_set.particles, particle_set.optics, Class2DOptions(**options), own)
    while not classifier.done:
        classifier.update()
    return classifier.iteration
