"""Short classifications of particles with known truth, and how to hold two of them against each other."""

import dataclasses
from dataclasses import replace

import numpy as np

from winnow2d.engine.classify import Classifier
from winnow2d.options import Class2DOptions, OwnOptions

OPTIONS = Class2DOptions(do_em=True, do_grad=False, nr_classes=3, nr_iter_em=12, particle_diameter=100.0)
N_PARTICLES = 180  # five whole chunks and a part of one


def classifier(particles, iteration=None, n_threads=1, own=None, **options):
    return Classifier(
        particles, particles.particles, particles.optics, replace(OPTIONS, **options), own or OwnOptions(random_seed=7),
        iteration, n_threads,
    )  # fmt: skip


def run(particles, n_iterations, **options):
    started = classifier(particles, **options)
    for _ in range(n_iterations):
        started.update()
    return started.iteration


def differences(one, other, path="iteration"):
    """Return the names of fields of two records whose bytes differ."""
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return [d for n in names for d in differences(getattr(one, n), getattr(other, n), f"{path}.{n}")]
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and one.tobytes() == np.asarray(other).tobytes()
    else:
        same = one == other
    return [] if same else [path]


def is_finite(record):
    """Return whether all numbers of a record are finite."""
    values = (getattr(record, field.name) for field in dataclasses.fields(record))
    return all(np.isfinite(v).all() for v in values if isinstance(v, (float, np.ndarray)))
