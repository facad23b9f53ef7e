"""The loop: `Classifier` holds the state of a classification and moves it on by one iteration at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from winnow2d.errors import ConfigError, ImageError
from winnow2d.numerics.arrays import OUT_OF_MEMORY, Device, devices_of, real_dtype, to_host
from winnow2d.numerics.grids import half_plane
from winnow2d.options import Class2DOptions, OwnOptions
from winnow2d.records import Changes, Iteration, Model, OpticsGroup, Particles

from . import iteration as steps
from .evaluation import Worker, gave_up_images
from .geometry import Geometry, geometries_of
from .gradient_step import first_moments
from .images import half_plane_spectra
from .initialise import IMAGES_PER_OPTICS_GROUP, FirstAverages, NoiseEstimate, positive
from .kept_images import KeptImages
from .masking import masked
from .memory import keep_freed_memory
from .parallel import CHUNK, DEVICE_CHUNK, chunks, one_blas_thread
from .sampling import first_sampling
from .schedule import first_resolution_shell
from .source import ImageSource, ImageStack
from .stages import FIRST, stage
from .transfer import Transfer
from .vdam_schedule import batch_limits, batch_size, phases, step_size

logger = logging.getLogger(__name__)
_BATCH = 4  # purpose of random numbers; others stand in iteration.py


class Classifier:
    """Reference-free 2D classification of one set of particles.

    Parameters
    ----------
    stack : ImageStack
    particles : Particles
        Never changed; each iteration holds its own.
    optics : list of OpticsGroup
        Box and pixel size of the class averages are those of the first.
    class2d, own : Class2DOptions, OwnOptions
    iteration : Iteration, optional
        Where to go on; without it the first references are made when the first update is asked for.
    n_threads : int
        Changes nothing but the time taken.
    n_gpus : int
        GPUs that share the E-step, where the device is a GPU; nothing but the time depends on them if they are of one
        kind. More than one has not been tried on real GPUs.

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
        n_gpus: int = 1,
    ):
        _check(particles, optics, class2d, own, n_gpus)
        keep_freed_memory()
        devices = devices_of(own.device, n_gpus)
        self.xp = devices[0].xp
        self.optics = optics
        self.class2d, self.own, self.n_threads = class2d, own, n_threads
        self.box_px, self.pixel_size_ang = optics[0].box_px, optics[0].pixel_size_ang
        self.geometries, self.geometry_of_optics = geometries_of(optics, class2d.particle_diameter)
        self.plane, self.mask = half_plane(self.box_px), self.geometries[0].mask  # the model's
        self.dtype = real_dtype(own.precision)
        self.images = ImageSource(stack, len(particles), self.dtype)
        self.keeps_quirks = own.compatibility == "relion"
        has_limit = not (self.keeps_quirks and class2d.do_em)  # RELION's EM has none
        self.max_significant = 5 * class2d.nr_classes if has_limit else 0
        self.chunk_size = CHUNK if self.xp is np else DEVICE_CHUNK
        self.particles_per_group = np.bincount(particles.group_index, minlength=len(particles.group_names))
        boxes = np.array([group.box_px for group in optics])[particles.optics_group]
        self.workers = [self._worker(device, boxes) for device in devices]
        self.transfer = self.workers[0].transfer
        # A class number in the input is another job's, or a picking template's.
        self._particles = replace(particles, class_index=np.full(len(particles), -1))
        self._iteration = iteration

    def _worker(self, device: Device, boxes: np.ndarray) -> Worker:
        with device.in_use():
            transfer = Transfer(
                self.optics, self.geometries, self.geometry_of_optics, self.class2d.do_ctf_correction,
                self.class2d.ctf_intact_first_peak, self.dtype, device.xp,
            )  # fmt: skip
        return Worker(device, transfer, KeptImages(self.images, boxes, device))

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
        """Do one iteration and return it; `progress` is told how many of all its particles are done.

        Raises
        ------
        ResourceError
            The memory does not hold the smallest chunk of particles.
        ImageError
            More than 5 % of all images turned out unusable. Fewer are left out; `images.is_broken` tells which.
        """
        done = None
        try:
            done = self._next(progress)
        except OUT_OF_MEMORY:
            if not gave_up_images(self.workers):
                raise
        self._iteration = done or self._next(progress)  # once more: an iteration changes nothing but what it returns
        self.images.check()
        return self._iteration

    def _next(self, progress: Callable[[int, int], None]) -> Iteration:
        with one_blas_thread():
            return steps.next_iteration(self, self.iteration, progress)

    def is_gradient(self, number: int) -> bool:
        """Return whether an iteration is a step of VDAM: EM has none, and a VDAM run ends with EM iterations."""
        total = self.class2d.n_iterations
        n_em = 0 if self.keeps_quirks else min(self.own.grad_em_iters, phases(total).final)
        return not self.class2d.do_em and number <= total - n_em

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

    @stage(FIRST)
    def _first(self) -> Iteration:
        """Return iteration 0: noise from the first images of each optics group, references from random angles."""
        averages = FirstAverages(self.plane, self.class2d.nr_classes, self.rng(0, 0))
        noise = []
        for g, group in enumerate(self.optics):
            estimate = NoiseEstimate(group.box_px)
            rows = np.flatnonzero(self._particles.optics_group == g)[:IMAGES_PER_OPTICS_GROUP]
            for part in chunks(rows):
                self._look_at(part, self.geometries[self.geometry_of_optics[g]], estimate, averages)
            noise.append(estimate)
        self._fill(averages)
        references = averages.references(self.mask, self.class2d.particle_diameter / self.pixel_size_ang)
        if not np.isfinite(references).all() or not any(estimate.n_images for estimate in noise):
            raise ImageError("None of the first images can be used: all hold NaN or infinite pixels")
        return self._iteration_zero(references, self._first_noise(noise))

    def _fill(self, averages: FirstAverages) -> None:
        """Go on until every class has an image: there may be more classes than images the noise is estimated from."""
        for g in range(len(self.optics)):
            rows = np.flatnonzero(self._particles.optics_group == g)[IMAGES_PER_OPTICS_GROUP:]
            for part in chunks(rows):
                if averages.n_images >= self.class2d.nr_classes:
                    return
                self._look_at(part, self.geometries[self.geometry_of_optics[g]], None, averages)

    def _look_at(
        self, rows: np.ndarray, geometry: Geometry, noise: NoiseEstimate | None, averages: FirstAverages
    ) -> None:
        """Add images of one optics group to its noise, unless that is done, and to the first averages."""
        images = self.images.read(rows)
        usable = np.isfinite(images).all(axis=(1, 2))
        images, rows = images[usable], rows[usable]
        if not len(rows):
            return
        if noise is not None:
            noise.add(masked(images, geometry.mask) if self.class2d.do_zero_mask else images)
        spectra = half_plane_spectra(images.astype(np.float64), geometry.plane)
        phases = self.transfer.phases(self._particles.optics_group[rows], geometry.plane)
        if phases is not None:
            spectra = spectra * to_host(phases)
        ctf = self.transfer.ctf(rows, self._particles)
        factor = self.transfer.data_factor(rows, self._particles, ctf)
        view = geometry.view(averages.radius)
        averages.add(spectra, to_host(ctf), None if factor is None else to_host(factor), geometry.plane, view)

    def _first_noise(self, estimates: list[NoiseEstimate]) -> np.ndarray:
        """Return the noise power of each optics group (g, s); a group without images has the mean of the others.

        The mean image is that of all groups of the commonest geometry: a small group's own would hold its noise.
        """
        places = self.geometry_of_optics.tolist()
        n_images = np.bincount(places, [estimate.n_images for estimate in estimates])
        commonest = int(n_images.argmax())
        first, *others = (estimate for estimate, at in zip(estimates, places, strict=True) if at == commonest)
        in_common = self.geometries[commonest].model_spectrum(first.with_all(others).power_of_mean())
        noise = np.empty((len(estimates), self.plane.n_shells))
        for row, estimate, at in zip(noise, estimates, places, strict=True):
            row[:] = positive((self.geometries[at].model_spectrum(estimate.power()) - in_common) / 2)
        seen = np.array([estimate.n_images > 0 for estimate in estimates])
        noise[~seen] = noise[seen].mean(axis=0)
        return noise

    def _iteration_zero(self, references: np.ndarray, sigma2: np.ndarray) -> Iteration:
        n_k, n_shells = len(references), self.plane.n_shells
        model = Model(
            pixel_size_ang=self.pixel_size_ang,
            references=references.astype(np.float32),
            pdf_class=np.full(n_k, 1 / n_k),
            prior_offset_ang=np.zeros((n_k, 2)),
            sigma_offset_ang=10.0,
            sigma2_noise=sigma2,
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


def _check(
    particles: Particles, optics: list[OpticsGroup], class2d: Class2DOptions, own: OwnOptions, n_gpus: int
) -> None:
    """Raise ConfigError with every reason why these options cannot run on these particles."""
    problems = []
    for group in optics:
        problems += _misfits(group, class2d)
    if len(particles) < class2d.nr_classes:
        problems.append(f"class2d.nr_classes: {class2d.nr_classes} classes for {len(particles)} particles")
    try:
        devices_of(own.device, n_gpus)
    except RuntimeError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError(*problems)


def _misfits(group: OpticsGroup, class2d: Class2DOptions) -> list[str]:
    """Return why these options cannot run on images of an optics group."""
    problems = []
    length = group.box_px * group.pixel_size_ang
    if class2d.particle_diameter > length:
        problems.append(
            f"class2d.particle_diameter: {class2d.particle_diameter:g} A is larger than the box of optics group "
            f"{group.name} ({group.box_px} px of {group.pixel_size_ang:g} A = {length:g} A); give the mask diameter "
            "of your particle"
        )
    m00, m01, m10, m11 = group.magnification
    if abs(m00 * m11 - m01 * m10) < 0.1:
        problems.append(f"optics group {group.name}: this is not the matrix of a magnification: {group.magnification}")
    return problems
