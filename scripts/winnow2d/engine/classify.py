"""The loop: `Classifier` holds the state of a classification and moves it on by one iteration at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from winnow2d.errors import ConfigError, ImageError
from winnow2d.numerics.arrays import device_module, real_dtype, to_host
from winnow2d.numerics.grids import half_plane
from winnow2d.numerics.masks import soft_circle
from winnow2d.options import Class2DOptions, OwnOptions
from winnow2d.records import Changes, Iteration, Model, OpticsGroup, Particles

from . import iteration as steps
from .gradient_step import first_moments
from .images import MASK_EDGE_PX, transfer_functions
from .initialise import IMAGES_PER_OPTICS_GROUP, FirstAverages, NoiseEstimate, particle_mask_radius_px
from .masking import masked
from .parallel import CHUNK, DEVICE_CHUNK, chunks, one_blas_thread
from .sampling import first_sampling
from .schedule import first_resolution_shell
from .source import ImageSource, ImageStack
from .vdam_schedule import batch_limits, batch_size, step_size

logger = logging.getLogger(__name__)
Array = Any
_CTF_CACHE_BYTES = 2**30
_BATCH = 4  # purpose of random numbers; others stand in iteration.py


class Classifier:
    """Reference-free 2D classification of one set of particles.

    Parameters
    ----------
    stack : ImageStack
    particles : Particles
        Never changed; each iteration holds its own.
    optics : list of OpticsGroup
        One; several are refused.
    class2d, own : Class2DOptions, OwnOptions
    iteration : Iteration, optional
        Where to go on; without it the first references are made when the first update is asked for.
    n_threads : int
        Changes nothing but the time taken.

    Raises
    ------
    ConfigError
        If the options do not fit the images; all reasons at once.
    """

    def __init__(
        self,
        stack: ImageStack,
        particles: Particles,
        optics: list[OpticsGroup],
        class2d: Class2DOptions,
        own: OwnOptions,
        iteration: Iteration | None = None,
        n_threads: int = 1,
    ):
        _check(particles, optics, class2d, own)
        self.xp = device_module(own.device)
        self.optics = optics
        self.class2d, self.own, self.n_threads = class2d, own, n_threads
        self.box_px, self.pixel_size_ang = optics[0].box_px, optics[0].pixel_size_ang
        self.plane = half_plane(self.box_px)
        self.dtype = real_dtype(own.precision)
        self.images = ImageSource(stack, len(particles), self.dtype)
        self.keeps_quirks = own.compatibility == "relion"
        radius = particle_mask_radius_px(class2d.particle_diameter, self.pixel_size_ang, self.box_px)
        has_limit = not (self.keeps_quirks and class2d.do_em)  # RELION's EM has none
        self.max_significant = 5 * class2d.nr_classes if has_limit else 0
        self.mask = soft_circle(self.box_px, radius, MASK_EDGE_PX)
        self.chunk_size = CHUNK if self.xp is np else DEVICE_CHUNK
        self.particles_per_group = np.bincount(particles.group_index, minlength=len(particles.group_names))
        self._ctf_cache: Array | None = None
        self._is_cached = np.zeros(len(particles), bool)
        if len(particles) * len(self.plane.kx) * self.dtype.itemsize <= _CTF_CACHE_BYTES:
            self._ctf_cache = self.xp.empty((len(particles), len(self.plane.kx)), self.dtype)
        # A class number in the input is another job's, or a picking template's.
        self._particles = replace(particles, class_index=np.full(len(particles), -1))
        self._iteration = iteration

    @property
    def iteration(self) -> Iteration:
        """The newest iteration; number 0 is the state before the first."""
        if self._iteration is None:
            with one_blas_thread():
                self._iteration = self._first()
        return self._iteration

    @property
    def done(self) -> bool:
        return self.iteration.number >= self.class2d.n_iterations

    def rng(self, purpose: int, number: int, particle: int = 0) -> np.random.Generator:
        """Return a generator that depends on the seed, a purpose, an iteration and a particle, and nothing else."""
        return np.random.default_rng([self.own.random_seed, purpose, number, particle])

    def update(self, progress: Callable[[int, int], None] = lambda done, total: None) -> Iteration:
        """Do one iteration and return it; `progress` is told how many of all chunks are done.

        Raises
        ------
        ImageError
            More than 5 % of all images turned out unusable. Fewer are left out; `images.is_broken` tells which.
        """
        with one_blas_thread():
            self._iteration = steps.next_iteration(self, self.iteration, progress)
        self.images.check()
        return self._iteration

    def is_gradient(self, number: int) -> bool:
        """Return whether an iteration is a step of VDAM: EM has none, and a VDAM run ends with EM iterations."""
        last = self.class2d.n_iterations - (0 if self.keeps_quirks else self.own.grad_em_iters)
        return not self.class2d.do_em and number <= last

    def batch(self, number: int) -> np.ndarray:
        """Return the rows an iteration looks at, ascending: all of them in EM, a random part of them in VDAM."""
        n, options = len(self._particles), self.class2d
        if not self.is_gradient(number):
            return np.arange(n)
        limits = self.iteration.batch_limits or batch_limits(n)
        size = batch_size(number, options.n_iterations, n, options.nr_classes, limits)
        return np.arange(n) if size == n else np.sort(self.rng(_BATCH, number).permutation(n)[:size])

    def estimates_accuracies(self, number: int) -> bool:
        """Return whether accuracies are estimated anew in an iteration: always in EM, now and then in VDAM."""
        if self.keeps_quirks and not self.class2d.dont_skip_align:
            return False  # RELION leaves them at 0
        is_due = number <= 1 or number % 10 == 0 or number == self.class2d.n_iterations
        return is_due or self.class2d.do_em

    def ctf(self, rows: np.ndarray, particles: Particles) -> Array:
        """Return the CTFs (n, p) of some particles on the whole half plane; kept in memory if all of them fit."""
        if self._ctf_cache is None:
            return self.ctf_of(rows, particles)
        unknown = rows[~self._is_cached[rows]]
        if len(unknown):
            self._ctf_cache[self.xp.asarray(unknown)] = self.ctf_of(unknown, particles)
            self._is_cached[unknown] = True
        return self._ctf_cache[self.xp.asarray(rows)]

    def ctf_of(self, rows: np.ndarray, particles: Particles) -> Array:
        """Return the CTFs (n, p) of some particles on the whole half plane, on the device of the run."""
        n_px = len(self.plane.kx)
        if not self.class2d.do_ctf_correction:
            return self.xp.ones((len(rows), n_px), self.dtype)
        intact = self.class2d.ctf_intact_first_peak
        values = transfer_functions(particles, rows, self.optics, self.plane, n_px, intact, self.xp)
        return values.astype(self.dtype)

    def _first(self) -> Iteration:
        """Return iteration 0: noise from the first images, references from random angles."""
        particles = self._particles
        rows = np.arange(min(IMAGES_PER_OPTICS_GROUP, len(particles)))
        noise = NoiseEstimate(self.box_px)
        averages = FirstAverages(self.plane, self.class2d.nr_classes, self.rng(0, 0))
        for part in chunks(rows):
            images = self.images.read(part)
            usable = np.isfinite(images).all(axis=(1, 2))
            images = images[usable]
            noise.add(masked(images, self.mask) if self.class2d.do_zero_mask else images)
            averages.add(images, to_host(self.ctf_of(part[usable], particles)))
        references = averages.references(self.mask, self.class2d.particle_diameter / self.pixel_size_ang)
        if not np.isfinite(references).all() or not noise.n_images:
            raise ImageError("None of the first images can be used: all hold NaN or infinite pixels")
        return self._iteration_zero(references, noise.sigma2())

    def _iteration_zero(self, references: np.ndarray, sigma2: np.ndarray) -> Iteration:
        n_k, n_shells = len(references), self.plane.n_shells
        model = Model(
            pixel_size_ang=self.pixel_size_ang,
            references=references.astype(np.float32),
            pdf_class=np.full(n_k, 1 / n_k),
            prior_offset_ang=np.zeros((n_k, 2)),
            sigma_offset_ang=10.0,
            sigma2_noise=np.tile(sigma2, (len(self.optics), 1)),
            scale_correction=np.ones(len(self._particles.group_names)),
            norm_correction_average=1.0 if self.keeps_quirks else float(self._particles.norm_correction.mean()),
            tau2_fudge=self.class2d.tau_fudge,
            tau2=np.zeros((n_k, n_shells)),
            sigma2_reference=np.zeros((n_k, n_shells)),
            data_vs_prior=np.zeros((n_k, n_shells)),
            fourier_coverage=np.zeros((n_k, n_shells)),
            resolution_shell=first_resolution_shell(self.box_px),
            image_size_px=0,
            accuracy_rotation_deg=np.zeros(n_k),
            accuracy_offset_ang=np.zeros(n_k),
        )
        sampling = first_sampling(self.class2d, self.pixel_size_ang)
        total, particles = self.class2d.n_iterations, replace(self._particles)
        first = Iteration(0, total, model, particles, self.optics, sampling, Changes())
        if self.class2d.do_em:
            return first
        limits = batch_limits(len(particles))
        moments = first_moments(n_k, self.box_px)
        return replace(first, step_size=step_size(0, total), batch_limits=limits, moments=moments)


def _check(particles: Particles, optics: list[OpticsGroup], class2d: Class2DOptions, own: OwnOptions) -> None:
    """Raise ConfigError with every reason why these options cannot run on these particles."""
    problems = []
    if len(optics) != 1:
        problems.append(f"{len(optics)} optics groups; the engine takes one. Classify them apart.")
    group = optics[0]
    length = group.box_px * group.pixel_size_ang
    if class2d.particle_diameter > length:
        problems.append(
            f"class2d.particle_diameter: {class2d.particle_diameter:g} A is larger than the box "
            f"({group.box_px} px of {group.pixel_size_ang:g} A = {length:g} A); give the mask diameter of your particle"
        )
    if group.is_ctf_premultiplied and class2d.do_ctf_correction:
        problems.append(f"optics group {group.name}: CTF-premultiplied images are not supported yet")
    if group.is_ctf_corrected and class2d.do_ctf_correction:
        problems.append(
            f"optics group {group.name}: images are CTF-corrected; set class2d: {{do_ctf_correction: false}}"
        )
    if len(particles) < class2d.nr_classes:
        problems.append(f"class2d.nr_classes: {class2d.nr_classes} classes for {len(particles)} particles")
    try:
        device_module(own.device)
    except RuntimeError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError(*problems)
