"""Whole simulated micrographs: particles and junk where a picker clicked, in one field with one transfer function.

The world is that of `dataset.Simulation`; but what lies in a field is imaged together, dark on light, with the
counts of a camera, and some particles lie there that were never picked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from winnow2d.demo_options import DemoMicrographsOptions, DemoOptions
from winnow2d.numerics import fourier
from winnow2d.numerics.ctf import ctf_values
from winnow2d.records import MicrographCtfs
from winnow2d.simulation import junk, micrographs, noise, scene
from winnow2d.simulation.dataset import Simulation
from winnow2d.simulation.micrographs import Imaging

BOX_IN_DIAMETERS = 1.5  # of the patch a pick's particle is drawn on
MEAN_COUNTS, COUNTS_PER_SIGMA = 900.0, 30.0  # of the camera, per pixel
_FIELD, _MERIT = 101, 102  # purposes of random numbers, beside those of `dataset`


@dataclass(frozen=True)
class SimulatedField:
    """One micrograph and its n picks.

    Attributes
    ----------
    name, index : str, int
        The name, and the row of the simulation's CTFs.
    pixels : (y, x) float32 array, dark particles
    coordinates_px : (n, 2), x then y, where the picker clicked
    merit : (n,), the picker's figure of merit
    kinds, euler_deg, shift_px : (n,), (n, 3), (n, 2)
        What is true of each; the shift (x, y) is where the particle lies as seen from the click.
    """

    name: str
    index: int
    pixels: np.ndarray
    coordinates_px: np.ndarray
    merit: np.ndarray
    kinds: list[str]
    euler_deg: np.ndarray
    shift_px: np.ndarray


class FieldSimulation(Simulation):
    """Micrographs with known truth; parameters as of `Simulation`."""

    def __init__(
        self,
        options: DemoMicrographsOptions,
        map_values: np.ndarray | None = None,
        map_pixel_ang: float | None = None,
        ctfs: MicrographCtfs | None = None,
    ):
        self.field = options
        box_px = 2 * int(np.ceil(BOX_IN_DIAMETERS * options.diameter / options.pixel_size / 2))
        shared = {name: value for name, value in vars(options).items() if name not in ("width", "height")}
        super().__init__(DemoOptions(**shared, box=box_px), map_values, map_pixel_ang, ctfs)

    def fields(self) -> Iterator[SimulatedField]:
        """Yield the micrographs in order; memory holds one at a time."""
        sharing = self._rng(3)
        counts = micrographs.share_particles(len(self), self.ctfs.n_particles, sharing)
        imaging = micrographs.draw_imaging(len(counts), sharing)
        kinds = [str(kind) for kind in junk.draw_kinds(len(self), self.options.junk, self._rng(4))]
        ends = np.cumsum(counts)
        for index, count in enumerate(counts):
            yield self._one_field(index, kinds[ends[index] - count : ends[index]], imaging)

    def _one_field(self, index: int, kinds: list[str], imaging: Imaging) -> SimulatedField:
        """Return one micrograph."""
        options, rng = self.field, self._rng(_FIELD, index)
        centres = self._centres(len(kinds), rng)
        phase, direct = (np.zeros((options.height, options.width), np.float32) for _ in range(2))
        euler_deg, shift_px = np.zeros((len(kinds), 3)), np.zeros((len(kinds), 2))
        for row, kind in enumerate(kinds):
            copies = scene.Copies()
            euler_deg[row], shift_px[row] = self._director.draw(0, kind, copies, rng)
            for density, euler, shift in zip(copies.density, copies.euler_deg, copies.shift_px, strict=True):
                self._add_copy(phase, density, euler, centres[row] + shift)
            if kind in junk.DRAWN:
                for canvas, patch in zip((phase, direct), junk.DRAWN[kind](self._patch, rng), strict=True):
                    _add(canvas, patch * _soft_edge(len(patch)), centres[row])
        pixels = self._imaged(index, phase, direct, imaging, rng)
        merit = self._rng(_MERIT, index).gamma(4.0, 0.25, len(kinds)) * np.where(np.array(kinds) == "good", 1.3, 1.0)
        name = self.ctfs.names[index]
        return SimulatedField(name, index, pixels, centres, merit.round(6), kinds, euler_deg, shift_px)

    def _centres(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return where n picks are (n, 2), x then y: as far apart as the field allows, some near its edges."""
        field = np.array([self.field.width, self.field.height], dtype=np.float64)
        n_columns = int(np.ceil(np.sqrt(max(n, 1) * field[0] / field[1])))
        n_rows = -(-max(n, 1) // n_columns)
        cells = rng.permutation(n_columns * n_rows)[:n]
        corner = np.stack([cells % n_columns, cells // n_columns], axis=1)
        within = 0.5 + rng.uniform(-0.25, 0.25, (n, 2))
        return np.floor((corner + within) * field / [n_columns, n_rows])

    def _add_copy(self, canvas: np.ndarray, density: int, euler_deg: np.ndarray, position_px: np.ndarray) -> None:
        """Add one projection with its centre at a position (x, y) between pixels."""
        whole = np.floor(position_px)
        image = fourier.pad(self._projectors[density].project(euler_deg[None]), self._patch.patch_px)
        spectrum = fourier.forward(image)
        phases = fourier.shift_phases(
            self._kx.ravel(), self._ky.ravel(), (position_px - whole)[None], self._patch.patch_px
        )
        shifted = spectrum * phases.astype(np.complex64).reshape(spectrum.shape)
        _add(canvas, fourier.inverse(shifted, self._patch.patch_px)[0], whole)

    def _imaged(
        self, index: int, phase: np.ndarray, direct: np.ndarray, imaging: Imaging, rng: np.random.Generator
    ) -> np.ndarray:
        """Return the micrograph (y, x) of what lies in the field: transfer function, noise, and a camera's counts."""
        height, width = phase.shape
        ky, kx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
        ctfs, pixel_ang = self.ctfs, self.field.pixel_size
        ctf = ctf_values(
            (kx + 0 * ky) / pixel_ang, (ky + 0 * kx) / pixel_ang,
            ctfs.defocus_u_ang[index], ctfs.defocus_v_ang[index], ctfs.defocus_angle_deg[index],
            ctfs.voltage_kv, ctfs.spherical_aberration_mm, ctfs.amplitude_contrast,
            phase_shift_deg=ctfs.phase_shift_deg[index],
        ).astype(np.float32)  # fmt: skip
        amplitude = noise.noise_amplitude(2 * np.hypot(kx, ky), ctf, imaging.ice_thickness[index])
        scale = np.float32(imaging.signal_scale[index])
        spectrum = (np.fft.rfft2(phase) * ctf + np.fft.rfft2(direct)) * scale
        white = rng.standard_normal(phase.shape, dtype=np.float32)
        spectrum += np.fft.rfft2(white) * (amplitude * np.float32(self.sigma_noise))
        image = np.fft.irfft2(spectrum, s=phase.shape) / self.sigma_noise
        return (MEAN_COUNTS - COUNTS_PER_SIGMA * image).astype(np.float32)


def _add(canvas: np.ndarray, patch: np.ndarray, centre: np.ndarray) -> None:
    """Add a square patch to a canvas with its centre at a whole pixel (x, y); what reaches over an edge is lost."""
    size = len(patch)
    left, top = int(centre[0]) - size // 2, int(centre[1]) - size // 2
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + size, canvas.shape[1]), min(top + size, canvas.shape[0])
    if x0 < x1 and y0 < y1:
        canvas[y0:y1, x0:x1] += patch[y0 - top : y1 - top, x0 - left : x1 - left]


def _soft_edge(size: int) -> np.ndarray:
    """Return factors (y, x) that let junk fade out towards the edge of its patch."""
    axis = np.abs(np.arange(size) - size // 2) / (size // 2)
    fade = np.clip((1 - axis) / 0.2, 0, 1).astype(np.float32)
    return fade[:, None] * fade
