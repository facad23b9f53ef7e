"""The box of a round's images, from what is asked of them: mask diameter and resolution."""

from __future__ import annotations

from dataclasses import dataclass

BOX_IN_DIAMETERS = 1.5  # width cut around a particle: its mask, and background on each side
PIXELS_PER_RESOLUTION = 3.0  # the smallest period wanted has as many pixels, so it lies at 2/3 of Nyquist
USUAL_PX, USUAL_PIXEL_ANG = (64, 128), 3.5  # what suits 2D classification where nothing else is asked


@dataclass(frozen=True)
class Box:
    """A width in pixels as recorded (`cut_px`) and the number of pixels of the images made of it."""

    cut_px: int
    output_px: int
    pixel_size_ang: float  # of the images
    sentence: str

    @property
    def is_rescaled(self) -> bool:
        return self.output_px != self.cut_px


def box_around(diameter_ang: float, pixel_size_ang: float) -> int:
    """Return the even width in pixels that holds a mask and background around it."""
    return next_smooth(BOX_IN_DIAMETERS * diameter_ang / pixel_size_ang)


def chosen_box(cut_px: int, pixel_size_ang: float, diameter_ang: float, resolution_ang: float) -> Box:
    """Return the number of pixels that images of a given width should have.

    Parameters
    ----------
    cut_px, pixel_size_ang : int, float
        Width of the box as it was recorded; never made finer.
    diameter_ang : float
        Of the mask, to be told.
    resolution_ang : float
        That class averages are to reach; 0 for what 64 to 128 px allow.
    """
    length_ang = cut_px * pixel_size_ang
    if resolution_ang > 0:
        wanted = next_smooth(PIXELS_PER_RESOLUTION * length_ang / resolution_ang)
    else:
        low, high = USUAL_PX
        wanted = min(max(next_smooth(length_ang / USUAL_PIXEL_ANG), low), high)
    output_px = min(wanted, cut_px)
    output_ang = length_ang / output_px
    sentence = (
        f"own.auto_box: {cut_px} px of {pixel_size_ang:g} A ({length_ang:.0f} A for a mask of {diameter_ang:g} A) "
        f"become {output_px} px of {output_ang:.2f} A, good to {PIXELS_PER_RESOLUTION * output_ang:.1f} A"
    )
    if resolution_ang > 0 and wanted > cut_px:
        sentence += f"; {resolution_ang:g} A were asked for, finer than these pixels allow"
    return Box(cut_px, output_px, output_ang, sentence)


def next_smooth(wanted: float) -> int:
    """Return the smallest even number from `wanted` on without a prime factor above 5: its transforms are quick."""
    number = max(2, int(wanted))
    while number < wanted or number % 2 or not _is_smooth(number):
        number += 1
    return number


def _is_smooth(number: int) -> bool:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number == 1
