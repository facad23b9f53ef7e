"""A whole simulated particle set, one micrograph at a time.

The signal to noise ratio is the variance of the particle's projections, without transfer function and
centred, over all pixels of the box and all views, divided by the variance per pixel of the noise.
Noise power is spread over frequency (`noise.py`) but keeps that variance. Each micrograph has its own
factor on the signal, about 1, so its own ratio differs a little.

Boxes are cut from patches 1.5 times as wide, so that fringes of the transfer function and neighbours
reach in from outside the box instead of coming round it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from winnow2d.demo_options import DemoOptions
from winnow2d.numerics import fourier
from winnow2d.numerics.ctf import ctf_values
from winnow2d.numerics.grids import radius_map
from winnow2d.records import MicrographCtfs, OpticsGroup, SimulatedMicrograph
from winnow2d.simulation import density as densities
from winnow2d.simulation import junk, micrographs, noise, scene
from winnow2d.simulation.micrographs import Imaging
from winnow2d.simulation.projection import Projector
from winnow2d.simulation.protein import Shape, build_protein

PATCH_IN_BOXES = 1.5
PARTICLES_AT_ONCE = 64
BACKGROUND_DIAMETER_IN_BOXES = 0.75  # as RELION's Extract window takes it by default
OTHER_SPECIES_DIAMETER = 0.62  # of the particle's
OTHER_SPECIES_SYMMETRY = "C2"
LARGE_BOX_PX = 128  # beyond, slices are interpolated in a smaller padded cube to save memory

# Purposes of random numbers: first word of a generator's key after the seed.
_PROTEIN, _OTHER, _BROKEN, _CTF, _SHARING, _KINDS, _VIEWS, _REFERENCE, _MICROGRAPH = range(9)


class Simulation:
    """A particle set with known truth.

    Parameters
    ----------
    options : DemoOptions
        The number of particles, the seed, and everything else but the two inputs below.
    map_values, map_pixel_ang : (z, y, x) array and float, or None
        A density instead of a made-up protein; it is magnified so that its particle has `options.diameter`.
    ctfs : MicrographCtfs or None
        Real micrographs, of which `options.micrographs` are drawn; particles are shared among them
        in proportion to the number found on each.

    Attributes
    ----------
    optics : OpticsGroup
    ctfs : MicrographCtfs
        Those used.
    sigma_noise : float
        Standard deviation of the noise per pixel, in the unit of the projections.

    Raises
    ------
    ConfigError
        If the box is odd or too small, or the symmetry unknown.
    ImageError
        If the map cannot be used.
    """

    # What a set of another kind may have otherwise; not options of the demo.
    shape: Shape = "compact"
    junk_shares: Mapping[str, float] = junk.SHARES
    other_diameter: float = OTHER_SPECIES_DIAMETER

    def __init__(
        self,
        options: DemoOptions,
        map_values: np.ndarray | None = None,
        map_pixel_ang: float | None = None,
        ctfs: MicrographCtfs | None = None,
    ):
        densities.check_fits(options.diameter, options.box, options.pixel_size)
        self.options = options
        self.ctfs = self._choose_ctfs(ctfs)
        self.optics = OpticsGroup(
            name="opticsGroup1",
            voltage_kv=self.ctfs.voltage_kv,
            spherical_aberration_mm=self.ctfs.spherical_aberration_mm,
            amplitude_contrast=self.ctfs.amplitude_contrast,
            pixel_size_ang=options.pixel_size,
            box_px=options.box,
        )
        self.density = self._make_density(map_values, map_pixel_ang)
        self._projectors = self._make_projectors()
        self._director = scene.SceneDirector(
            self._views(),
            options.diameter / options.pixel_size,
            options.box,
            options.shift,
        )
        signal_variance = self._signal_variance()
        self.sigma_noise = float(np.sqrt(signal_variance / options.snr))
        patch_px = 2 * int(np.ceil(PATCH_IN_BOXES * options.box / 2))
        self._patch = junk.Patch(patch_px, options.box, unit=2.5 * float(np.sqrt(signal_variance)))
        self._ky, self._kx = np.meshgrid(
            np.fft.fftfreq(patch_px, 1 / patch_px), np.arange(patch_px // 2 + 1.0), indexing="ij"
        )

    def __len__(self) -> int:
        return self.options.particles

    def micrographs(self) -> Iterator[SimulatedMicrograph]:
        """Yield the micrographs that have particles, in order; memory holds one at a time."""
        sharing = self._rng(_SHARING)
        counts = micrographs.share_particles(len(self), self.ctfs.n_particles, sharing)
        imaging = micrographs.draw_imaging(len(counts), sharing)
        kinds = junk.draw_kinds(len(self), self.options.junk, self._rng(_KINDS), self.junk_shares)
        ends = np.cumsum(counts)
        for index in np.flatnonzero(counts):
            own_kinds = [str(kind) for kind in kinds[ends[index] - counts[index] : ends[index]]]
            yield self._micrograph(int(index), own_kinds, imaging)

    def project(self, euler_deg: np.ndarray) -> np.ndarray:
        """Return noise-free projections (n, y, x) of the particle, without transfer function, centred."""
        return self._projectors[scene.PROTEIN].project(euler_deg)

    def _views(self) -> scene.Views:
        """Return where particles are seen from."""
        return scene.Views(self.options.views, self._rng(_VIEWS))

    def _rng(self, purpose: int, number: int = 0) -> np.random.Generator:
        """Return the generator of one purpose; no two purposes share random numbers."""
        return np.random.default_rng([self.options.seed, purpose, number])

    def _choose_ctfs(self, given: MicrographCtfs | None) -> MicrographCtfs:
        rng = self._rng(_CTF)
        if given is None:
            return micrographs.draw_ctfs(self.options, rng)
        return micrographs.choose_micrographs(given, self.options.micrographs, rng)

    def _make_density(self, map_values: np.ndarray | None, map_pixel_ang: float | None) -> np.ndarray:
        """Return the particle's density (z, y, x)."""
        options = self.options
        if map_values is not None and map_pixel_ang is not None:
            return densities.density_of_map(
                map_values, map_pixel_ang, options.diameter, options.box, options.pixel_size
            )
        beads = build_protein(options.symmetry, options.diameter, self._rng(_PROTEIN), self.shape)
        return densities.density_of_beads(beads, options.box, options.pixel_size)

    def _make_projectors(self) -> list[Projector]:
        """Return projectors of the particle, the other species, and the broken particles, in this order."""
        options = self.options
        oversampling = 2.5 if options.box <= LARGE_BOX_PX else 2.0
        beads = build_protein(OTHER_SPECIES_SYMMETRY, self.other_diameter * options.diameter, self._rng(_OTHER))
        other = densities.density_of_beads(beads, options.box, options.pixel_size)
        pieces = [densities.broken(self.density, self._rng(_BROKEN, number)) for number in range(scene.N_BROKEN)]
        return [Projector(each, oversampling) for each in (self.density, other, *pieces)]

    def _signal_variance(self) -> float:
        """Return the variance of projections over the box, from 100 views drawn like the particles'."""
        views, rng = self._views(), self._rng(_REFERENCE)
        images = self.project(np.array([views.draw(rng) for _ in range(100)]))
        return float(images.var(dtype=np.float64))

    def _micrograph(self, index: int, kinds: list[str], imaging: Imaging) -> SimulatedMicrograph:
        """Return the particles of one micrograph."""
        options, rng = self.options, self._rng(_MICROGRAPH, index)
        coordinates_px = micrographs.draw_coordinates(len(kinds), options.box, options.pixel_size, rng)
        ctf = self._patch_ctf(index)
        frequency = np.hypot(self._kx, self._ky) / (self._patch.patch_px / 2)
        amplitude = noise.noise_amplitude(frequency, ctf, imaging.ice_thickness[index])
        images = np.empty((len(kinds), options.box, options.box), dtype=np.float32)
        euler_deg, shift_px = np.zeros((len(kinds), 3)), np.zeros((len(kinds), 2))
        for start in range(0, len(kinds), PARTICLES_AT_ONCE):
            some = slice(start, start + PARTICLES_AT_ONCE)
            copies = scene.Copies()
            for row, kind in enumerate(kinds[some]):
                euler_deg[start + row], shift_px[start + row] = self._director.draw(row, kind, copies, rng)
            spectra = self._signal_spectra(kinds[some], copies, ctf, rng) * np.float32(imaging.signal_scale[index])
            spectra += noise.noise_spectra(len(spectra), amplitude, self.sigma_noise, rng)
            patches = fourier.inverse(spectra, self._patch.patch_px)
            images[some] = normalise_background(fourier.crop(patches, options.box))
        shift_ang = shift_px * options.pixel_size
        return SimulatedMicrograph(self.ctfs.names[index], index, images, coordinates_px, kinds, euler_deg, shift_ang)

    def _patch_ctf(self, index: int) -> np.ndarray:
        """Return the transfer function (y, x // 2 + 1) of a micrograph on the patch."""
        ctfs, length_ang = self.ctfs, self._patch.patch_px * self.options.pixel_size
        return ctf_values(
            self._kx / length_ang,
            self._ky / length_ang,
            ctfs.defocus_u_ang[index],
            ctfs.defocus_v_ang[index],
            ctfs.defocus_angle_deg[index],
            ctfs.voltage_kv,
            ctfs.spherical_aberration_mm,
            ctfs.amplitude_contrast,
            phase_shift_deg=ctfs.phase_shift_deg[index],
        ).astype(np.float32)

    def _signal_spectra(
        self, kinds: list[str], copies: scene.Copies, ctf: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return half spectra (n, y, x // 2 + 1) of all that is imaged, as the microscope shows it."""
        spectra = np.zeros((len(kinds), *ctf.shape), dtype=np.complex64)
        for number, projector in enumerate(self._projectors):
            chosen = [place for place, density in enumerate(copies.density) if density == number]
            if not chosen:
                continue
            images = projector.project(np.array([copies.euler_deg[place] for place in chosen]))
            copy_spectra = fourier.forward(fourier.pad(images, self._patch.patch_px))
            shifts_px = np.array([copies.shift_px[place] for place in chosen])
            phases = fourier.shift_phases(self._kx.ravel(), self._ky.ravel(), shifts_px, self._patch.patch_px)
            copy_spectra = copy_spectra * phases.astype(np.complex64).reshape(copy_spectra.shape)
            for place, spectrum in zip(chosen, copy_spectra, strict=True):
                spectra[copies.row[place]] += spectrum
        direct = {}
        for row, kind in enumerate(kinds):
            if kind in junk.DRAWN:
                phase_image, direct_image = junk.DRAWN[kind](self._patch, rng)
                spectra[row] += fourier.forward(phase_image)
                direct[row] = fourier.forward(direct_image)
        spectra *= ctf
        for row, spectrum in direct.items():
            spectra[row] += spectrum
        return spectra


def normalise_background(images: np.ndarray) -> np.ndarray:
    """Return images (n, y, x) with a level background of mean 0 and standard deviation 1, as RELION extracts them.

    Background is what lies outside a circle of 0.75 box widths; a plane fitted to it is subtracted
    from the whole image first.
    """
    box_px = images.shape[-1]
    radius_px = int(BACKGROUND_DIAMETER_IN_BOXES * box_px / 2)
    rows, columns = np.nonzero(radius_map(box_px) > radius_px)
    axis = np.arange(box_px, dtype=np.float64) - box_px // 2
    plane = np.stack([np.ones(len(rows)), axis[columns], axis[rows]])  # (3, background pixels)
    gram = np.einsum("ip,jp->ij", plane, plane)
    values = images[:, rows, columns].astype(np.float64)
    moments = np.einsum("np,ip->ni", values, plane)
    coefficients = np.einsum("ni,ij->nj", moments, np.linalg.inv(gram))
    fitted = coefficients[:, 0, None, None] + coefficients[:, 1, None, None] * axis[None, None, :]
    level = images - (fitted + coefficients[:, 2, None, None] * axis[None, :, None])
    background = level[:, rows, columns]
    mean, deviation = background.mean(axis=1), background.std(axis=1)
    return ((level - mean[:, None, None]) / deviation[:, None, None]).astype(np.float32)
