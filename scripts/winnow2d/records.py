"""Plain data that crosses floors: what is known of particles, optics groups, models and iterations.

Conventions: `n` particles, `k` classes, `g` optics groups, `m` intensity groups, `s` shells
(box // 2 + 1), `y x` pixels. Indices are 0-based here and 1-based in files. Offsets are (x, y) in
Angstrom with RELION's sign: the shift to apply to the image to centre the particle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = Any  # a numpy or cupy array; shapes stand in the docstrings


@dataclass(frozen=True)
class OpticsGroup:
    """One row of data_optics.

    Zernike coefficients are in rad, in RELION's order, at frequencies in 1/A; see `numerics.aberrations`.
    `magnification` are the elements 00, 01, 10, 11 of the matrix that frequencies are multiplied by.
    """

    name: str
    voltage_kv: float
    spherical_aberration_mm: float
    amplitude_contrast: float
    pixel_size_ang: float
    box_px: int
    is_ctf_premultiplied: bool = False
    is_ctf_corrected: bool = False
    beam_tilt_mrad: tuple[float, float] = (0.0, 0.0)  # x, y
    odd_zernike: tuple[float, ...] = ()
    even_zernike: tuple[float, ...] = ()
    magnification: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)


@dataclass
class Particles:
    """What the engine knows of each particle; the columns a file has beside these stay in its table.

    All arrays have length n. `class_index` is -1 and `max_probability` 0 for a particle never visited.
    `top_classes` are the classes that hold most of a particle's posterior when it was last visited, summed over
    angles and shifts, in descending order; -1, with posterior 0, where fewer hold any. None where nothing is known.
    """

    optics_group: np.ndarray  # int64, index into the list of OpticsGroup
    group_index: np.ndarray  # int64, index into group_names (intensity group)
    group_names: list[str]
    defocus_u_ang: np.ndarray
    defocus_v_ang: np.ndarray
    defocus_angle_deg: np.ndarray
    phase_shift_deg: np.ndarray
    ctf_bfactor_ang2: np.ndarray
    ctf_scale: np.ndarray
    psi_deg: np.ndarray
    offset_ang: np.ndarray  # (n, 2), x then y
    class_index: np.ndarray  # int64
    norm_correction: np.ndarray
    log_likelihood: np.ndarray
    max_probability: np.ndarray
    n_significant: np.ndarray  # int64
    top_classes: np.ndarray | None = None  # (n, 4) int32
    top_posteriors: np.ndarray | None = None  # (n, 4) float32

    def __len__(self) -> int:
        return len(self.optics_group)


@dataclass
class Model:
    """The class averages of one iteration and every parameter estimated with them."""

    pixel_size_ang: float
    references: np.ndarray  # (k, y, x), masked; as run_itNNN_classes.mrcs
    pdf_class: np.ndarray  # (k,), sums to 1
    prior_offset_ang: np.ndarray  # (k, 2), x then y
    sigma_offset_ang: float
    sigma2_noise: np.ndarray  # (g, s), power of one component, FFT / N**2
    scale_correction: np.ndarray  # (m,)
    norm_correction_average: float
    tau2_fudge: float
    tau2: np.ndarray  # (k, s)
    sigma2_reference: np.ndarray  # (k, s)
    data_vs_prior: np.ndarray  # (k, s); rlnSsnrMap
    fourier_coverage: np.ndarray  # (k, s)
    resolution_shell: int  # shell of the current resolution; the next iteration's image size follows from it
    image_size_px: int  # s used in the iteration that made this model (0 at iteration 0)
    log_likelihood: float = 0.0
    average_max_probability: float = 0.0
    accuracy_rotation_deg: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (k,), 999 = not estimated
    accuracy_offset_ang: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (k,)
    orientability: np.ndarray | None = None  # (k, s)
    unmasked_references: np.ndarray | None = None  # (k, y, x), before solvent flattening
    # (k, 2), x then y: how references were moved after they were averaged, so that this iteration's offsets do not
    # know of it; None where a file does not say
    centring_ang: np.ndarray | None = None

    @property
    def n_classes(self) -> int:
        return len(self.pdf_class)

    @property
    def box_px(self) -> int:
        return int(self.references.shape[-1])


@dataclass
class Sampling:
    """The coarse search grid of an iteration; the fine grid has half its steps (oversampling 1)."""

    psi_step_deg: float
    offset_range_ang: float
    offset_step_ang: float
    perturbation: float = 0.0  # rlnSamplingPerturbInstance
    perturbation_factor: float = 0.5
    original_psi_step_deg: float = 0.0
    original_offset_step_ang: float = 0.0


@dataclass
class Changes:
    """How far assignments moved in an iteration, and the counters kept over iterations."""

    psi_deg: float = 999.0
    offset_ang: float = 999.0
    class_fraction: float = 9999999.0
    smallest_psi_deg: float = 999.0
    smallest_offset_ang: float = 999.0
    smallest_class_fraction: float = 9999999.0  # a whole number, as RELION keeps it
    iterations_without_resolution_gain: int = 0
    iterations_without_assignment_change: int = 0
    best_resolution_per_ang: float = 0.0


@dataclass
class Moments:
    """What VDAM remembers of its gradients: half spectra of the padded box (2 N x N + 1), origin at [0, 0]."""

    first: np.ndarray  # (2, k, 2 N, N + 1) complex64, one per pseudo half-set; 0 before the first iteration
    second: np.ndarray  # (k, 2 N, N + 1) float32; 1 before the first iteration


@dataclass
class Iteration:
    """Everything one iteration leaves behind: what run_itNNN_* say, and what continuing needs."""

    number: int
    total: int  # iterations planned
    model: Model
    particles: Particles
    optics: list[OpticsGroup]
    sampling: Sampling
    changes: Changes
    n_left_out: int = 0  # particles without a finite weight: they kept their pose
    batch_size: int = -1  # particles looked at in a mini-batch; -1: all
    step_size: float = 0.0  # of VDAM's gradient
    batch_limits: tuple[int, int] | None = None  # VDAM's first and last batch size; None: by their number
    moments: Moments | None = None  # VDAM only


@dataclass(frozen=True)
class MicrographCtfs:
    """The transfer functions of m micrographs, as a micrographs STAR file tells them."""

    names: list[str]
    defocus_u_ang: np.ndarray
    defocus_v_ang: np.ndarray
    defocus_angle_deg: np.ndarray
    phase_shift_deg: np.ndarray
    max_resolution_ang: np.ndarray
    figure_of_merit: np.ndarray
    n_particles: np.ndarray  # particles found on each; ones where the file does not say
    voltage_kv: float
    spherical_aberration_mm: float
    amplitude_contrast: float


@dataclass(frozen=True)
class SimulatedMicrograph:
    """The n particles of one simulated micrograph and what is true of each."""

    name: str
    index: int  # row of its MicrographCtfs
    images: np.ndarray  # (n, y, x) float32, background normalised
    coordinates_px: np.ndarray  # (n, 2), x then y, where the picker clicked
    kinds: list[str]  # (n,)
    euler_deg: np.ndarray  # (n, 3), rot, tilt, psi
    shift_ang: np.ndarray  # (n, 2), x then y, where the particle is seen from the box centre; offset = minus this
