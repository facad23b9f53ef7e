"""Classifications with their truth, one npz file each, so that features are computed without the engine.

A file job_NNNNN.npz holds, of k classes and n particles:

* of the job: `seed` (of the set; sets of one seed show one protein), `stage` (0 early, 1 end of round 1, 2 of
  round 2, 3 of round 3), `round`, `iteration`, `total`, `is_em`, `pixel_size_ang`, `diameter_ang` (mask),
  `particle_diameter_ang`, `snr`, `tau2_fudge`, `shape`, `symmetry`
* of classes: `references` (k, y, x) float32 in the engine's own grey scale, `pdf_class`, `accuracy_rotation_deg`,
  `accuracy_offset_ang` (999 = not estimated), `prior_offset_ang` (k, 2), `data_vs_prior`, `tau2`, `sigma2_reference`,
  `fourier_coverage` (k, s), `resolution_ang` (rlnEstimatedResolution), `n_particles` (members), `n_good`, `n_junk`,
  `good_share` = n_good / (n_good + n_junk), NaN where neither (particles far off centre count as neither)
* of particles: `class_index` (0-based, -1 none), `psi_deg`, `offset_ang` (n, 2), `norm_correction`,
  `log_likelihood`, `max_probability`, `n_significant`, `group_index`, and the truth: `kind` (index into
  `kind_names`, 0 is good), `euler_deg` (n, 3), `shift_ang` (n, 2), `row` in the whole set
* of the model: `sigma2_noise` (g, s), `sigma_offset_ang`, `scale_correction`, `norm_correction_average`,
  `resolution_shell`, `image_size_px`, `average_max_probability`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from winnow2d.numerics.shells import estimated_resolution_ang
from winnow2d.records import Changes, Iteration, Model, Particles, Sampling
from winnow2d.simulation import junk

KIND_NAMES = ("good", *junk.SHARES)
OFF_CENTRE = KIND_NAMES.index("off_centre")
_MODEL = (
    "references", "pdf_class", "prior_offset_ang", "sigma2_noise", "scale_correction", "tau2", "sigma2_reference",
    "data_vs_prior", "fourier_coverage", "accuracy_rotation_deg", "accuracy_offset_ang",
)  # fmt: skip
_NUMBERS = (
    "pixel_size_ang", "sigma_offset_ang", "norm_correction_average", "tau2_fudge", "resolution_shell",
    "image_size_px", "average_max_probability",
)  # fmt: skip
_PARTICLES = (
    "class_index", "psi_deg", "offset_ang", "norm_correction", "log_likelihood", "max_probability", "n_significant",
    "group_index",
)  # fmt: skip


@dataclass(frozen=True)
class CachedJob:
    """A classification and what is true of it."""

    iteration: Iteration
    facts: dict[str, Any]

    @property
    def good_share(self) -> np.ndarray:
        return self.facts["good_share"]


def class_truth(class_index: np.ndarray, kind: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how many good and junk particles each class has, (k,) each; those far off centre are neither."""
    seen = class_index >= 0
    good = np.bincount(class_index[seen & (kind == 0)], minlength=k)
    junk_too = np.bincount(class_index[seen & (kind != 0) & (kind != OFF_CENTRE)], minlength=k)
    return good, junk_too


def share_of(good: np.ndarray, junk_too: np.ndarray) -> np.ndarray:
    """Return the good share, NaN without either."""
    judged = good + junk_too
    return np.where(judged > 0, good / np.maximum(judged, 1), np.nan)


def write_job(path: Path, iteration: Iteration, truth: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Write one classification; `truth` holds kind, euler_deg, shift_ang and row of each particle."""
    model, particles = iteration.model, iteration.particles
    good, junk_too = class_truth(particles.class_index, truth["kind"], model.n_classes)
    arrays = {name: getattr(model, name) for name in (*_MODEL, *_NUMBERS)}
    arrays |= {name: getattr(particles, name) for name in _PARTICLES} | truth
    arrays |= {
        "iteration": iteration.number, "total": iteration.total, "kind_names": np.array(KIND_NAMES),
        "resolution_ang": estimated_resolution_ang(model.data_vs_prior, model.box_px, model.pixel_size_ang),
        "n_particles": np.bincount(particles.class_index[particles.class_index >= 0], minlength=model.n_classes),
        "n_good": good, "n_junk": junk_too, "good_share": share_of(good, junk_too),
    }  # fmt: skip
    lean = {name: _lean(np.asarray(value)) for name, value in (arrays | facts).items()}
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **lean)
    part.replace(path)


def _lean(value: np.ndarray) -> np.ndarray:
    """Return an array in 4 bytes a number."""
    if value.ndim and value.dtype == np.float64:
        return np.nan_to_num(value, nan=np.nan, posinf=3e38, neginf=-3e38).astype(np.float32)
    return value.astype(np.int32) if value.ndim and value.dtype == np.int64 else value


def read_job(path: Path) -> CachedJob:
    """Return a classification as it was written, but for the last digits."""
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    found = {name: value.item() if value.ndim == 0 else value for name, value in found.items()}
    model = Model(**{name: found[name] for name in (*_MODEL, *_NUMBERS)})
    n = len(found["class_index"])
    zeros = np.zeros(n)
    columns = {name: found[name] for name in _PARTICLES}
    columns["class_index"] = columns["class_index"].astype(np.int64)
    particles = Particles(
        optics_group=np.zeros(n, np.int64), group_names=[str(g) for g in range(int(found["group_index"].max()) + 1)],
        defocus_u_ang=zeros, defocus_v_ang=zeros, defocus_angle_deg=zeros, phase_shift_deg=zeros,
        ctf_bfactor_ang2=zeros, ctf_scale=np.ones(n), **columns,
    )  # fmt: skip
    iteration = Iteration(
        found["iteration"], found["total"], model, particles, [], Sampling(0.0, 0.0, 0.0), Changes()
    )  # fmt: skip
    return CachedJob(iteration, found)
