"""Class averages as the warnings look at them: on one scale, without the edge of their mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow2d.numerics.fourier import rescaled
from winnow2d.numerics.grids import radius_map
from winnow2d.numerics.masks import soft_circle
from winnow2d.records import Iteration

MASK_EDGE_PX = 5.0  # outside the mask's radius: RELION's default width of the soft edge, and the engine's
GOOD_SHARE = 0.3  # classes of which less is good tell about junk, not about the run
SMALLEST_SHARE = 0.02  # of all particles: smaller classes are left out
FEWEST_COUNTED = 0.2  # of all particles must be in good classes, or else all classes of fair size tell
_SEEN_PX = 4.0  # how far beyond the radius the soft edge is divided out of a picture
_SMALLEST_BOX_PX, _BOX_IN_SHELLS = 48, 2.4  # pictures are made smaller where nothing finer is in them


@dataclass(frozen=True)
class Averages:
    """The averages of one iteration.

    Attributes
    ----------
    pictures : (k, y, x) float64 array
        Grey scale of the model. Inside the mask's radius and `seen_px` beyond it as if there were no mask.
    box_ang : float
        Width of the box.
    mask_px : float
        Radius of the mask, in pixels of the pictures.
    seen_px : float
    resolution_shell : int
        Of the run, in cycles per box.
    counts : (k,) int64 array
        Particles by their best class.
    counted : (k,) bool array
        Classes that tell about the run: large enough, and good if enough of them are.
    """

    pictures: np.ndarray
    box_ang: float
    mask_px: float
    seen_px: float
    resolution_shell: int
    counts: np.ndarray
    counted: np.ndarray

    @property
    def radius(self) -> np.ndarray:
        """Distance of each pixel from the centre, (y, x), in radii of the mask."""
        return radius_map(self.pictures.shape[-1]) / self.mask_px

    @property
    def mask_diameter_ang(self) -> float:
        return 2 * self.mask_px * self.box_ang / self.pictures.shape[-1]

    def mean(self, values: np.ndarray, among: np.ndarray | None = None) -> float:
        """Return the mean of a number per class (k,) over the particles of some classes, the counted if not said."""
        among = self.counted if among is None else among
        return float(np.average(values[among], weights=self.counts[among])) if among.any() else 0.0

    def quantile(self, values: np.ndarray, part: float) -> float:
        """Return the value below which a part of the particles of counted classes lies."""
        values, weights = values[self.counted], self.counts[self.counted]
        order = np.argsort(values, kind="stable")
        cumulative = np.cumsum(weights[order])
        return float(values[order][np.searchsorted(cumulative, part * cumulative[-1])]) if len(values) else 0.0

    def share(self, is_concerned: np.ndarray) -> float:
        """Return which part of the particles of counted classes is in those concerned."""
        n_counted = self.counts[self.counted].sum()
        return float(self.counts[self.counted & is_concerned].sum() / n_counted) if n_counted else 0.0


def averages_of(iteration: Iteration, diameter_ang: float, good_share: np.ndarray | None = None) -> Averages:
    """Return the averages of an iteration that was made with a mask of some diameter.

    Parameters
    ----------
    iteration : Iteration
    diameter_ang : float
    good_share : (k,) array, optional
        Expected share of good particles in each class.
    """
    model = iteration.model
    index = iteration.particles.class_index
    counts = np.bincount(index[index >= 0], minlength=model.n_classes)
    is_picture = np.isfinite(model.references).all(axis=(1, 2))
    references = np.where(is_picture[:, None, None], model.references, 0.0).astype(np.float64)
    size = min(model.box_px, max(_SMALLEST_BOX_PX, 2 * round(_BOX_IN_SHELLS * model.resolution_shell / 2)))
    scale = size / model.box_px
    mask_px = diameter_ang / 2 / model.pixel_size_ang * scale
    if size < model.box_px:
        references = rescaled(references, size)
    return Averages(
        pictures=_unmasked(references, mask_px, MASK_EDGE_PX * scale, _SEEN_PX * scale),
        box_ang=model.box_px * model.pixel_size_ang,
        mask_px=mask_px,
        seen_px=_SEEN_PX * scale,
        resolution_shell=model.resolution_shell,
        counts=counts,
        counted=is_picture & _counted(counts, good_share),
    )


def _counted(counts: np.ndarray, good_share: np.ndarray | None) -> np.ndarray:
    is_fair = counts > SMALLEST_SHARE * counts.sum()
    is_good = is_fair if good_share is None else is_fair & (np.asarray(good_share) >= GOOD_SHARE)
    return is_good if counts[is_good].sum() > FEWEST_COUNTED * counts.sum() else is_fair


def _unmasked(references: np.ndarray, radius_px: float, edge_px: float, seen_px: float) -> np.ndarray:
    """Return pictures divided by their soft mask as far as it leaves a tenth of them, faded out from there."""
    size = references.shape[-1]
    mask = soft_circle(size, radius_px, edge_px)
    fade = np.clip((radius_px + seen_px - radius_map(size)) / (seen_px / 2), 0, 1)
    return references / np.maximum(mask, 0.08) * fade
