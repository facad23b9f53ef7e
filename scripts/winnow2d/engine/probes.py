"""Which particles the accuracies of an iteration are estimated with, and for which classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from winnow2d.numerics.arrays import to_host
from winnow2d.records import Iteration, Sampling

from .accuracy import N_PARTICLES, Probe, expected_accuracies
from .projections import ReferenceSpectra, reference_spectra
from .schedule import expectation_sizes_px
from .stages import ACCURACIES, stage

if TYPE_CHECKING:
    from .classify import Classifier

_ACCURACY = 3  # purpose of random numbers; others stand in iteration.py
_MIN_FRACTION_FOR_ACCURACY = 0.01  # RELION estimates accuracies for classes above this only


@stage(ACCURACIES)
def reference_accuracies(
    run: Classifier, old: Iteration, size_px: int, sampling: Sampling, references: ReferenceSpectra | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return accuracies (degrees, px of the model) and orientability of the references that enter this iteration."""
    compared_px = min(
        expectation_sizes_px(run.class2d, run.box_px, run.pixel_size_ang, sampling.psi_step_deg, size_px)[1], size_px
    )
    if references is None:
        references = reference_spectra(old.model.references, size_px, run.dtype, run.xp)
    rng = run.rng(_ACCURACY, old.number + 1)
    rows = np.sort(rng.permutation(len(old.particles))[:N_PARTICLES])
    probes = [_probe(run, old, row, compared_px, size_px) for row in rows]
    least = _MIN_FRACTION_FOR_ACCURACY if run.keeps_quirks else 0.1 / old.model.n_classes
    usable = old.model.pdf_class >= least
    return expected_accuracies(references.spectra, usable, probes, run.plane.n_shells, rng, run.n_threads)


def _probe(run: Classifier, old: Iteration, row: int, compared_px: int, size_px: int) -> Probe:
    """Return a particle that accuracies are estimated with."""
    group = old.particles.optics_group[row]
    geometry = run.geometries[run.geometry_of_optics[group]]
    n_px = geometry.plane.n_within(geometry.size_px(compared_px) / 2)
    sigma2 = geometry.spectrum(old.model.sigma2_noise[group])[geometry.plane.shell[:n_px]]
    ctf = to_host(run.transfer.ctf(np.array([row]), old.particles, n_px))[0]
    weight = ctf.astype(np.float64) ** 2 / sigma2
    weight[0] = 0
    return Probe(
        old.particles.psi_deg[row], weight, geometry.plane, geometry.view(size_px // 2),
        geometry.model_shell[geometry.plane.shell[:n_px]], geometry.pixel_size_ang / run.pixel_size_ang,
    )  # fmt: skip
