"""RELION's Extract options as what is done to each window; wrong combinations are told before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from winnow2d.errors import ConfigError
from winnow2d.numerics.windows import Windowing

BACKGROUND_IN_BOXES = 0.75  # RELION's default diameter of the background circle


@dataclass(frozen=True)
class Recentring:
    """What a re-extraction does with refined offsets."""

    do_reset: bool = False
    do_recenter: bool = False
    reference_point_px: tuple[float, float, float] = (0.0, 0.0, 0.0)  # x, y, z; pixels of the particles given


@dataclass(frozen=True)
class Settings:
    """Everything of an extraction that changes what it writes for a micrograph.

    `minimum_fom` keeps particles with a figure of merit above it; None keeps all.
    """

    windowing: Windowing
    is_float16: bool = False
    minimum_fom: float | None = None
    recentring: Recentring = Recentring()
    seed: int = 1


def background_radius_px(bg_diameter_px: float, box_px: int, output_px: int) -> int:
    """Return the radius of the background circle in pixels of the images, as RELION's window rounds it.

    Parameters
    ----------
    bg_diameter_px : float
        In pixels of the box that is cut; below 0: 0.75 times the box.
    """
    diameter = BACKGROUND_IN_BOXES * box_px if bg_diameter_px < 0 else bg_diameter_px
    return int(diameter / 2 * (output_px / box_px))


def settings_of(options: Any, seed: int) -> Settings:
    """Return what ExtractOptions ask for.

    Raises
    ------
    ConfigError
        Odd boxes, or a background circle that leaves no background; all problems together.
    """
    problems = faults_of(options)
    if problems:
        raise ConfigError(*problems)
    box_px, output_px = options.extract_size, output_box_px(options)
    windowing = Windowing(
        box_px,
        output_px,
        options.do_norm,
        background_radius_px(options.bg_diameter, box_px, output_px),
        options.white_dust,
        options.black_dust,
        options.do_invert,
    )
    point = (options.recenter_x, options.recenter_y, options.recenter_z)
    return Settings(
        windowing,
        options.do_float16,
        options.minimum_pick_fom if options.do_fom_threshold else None,
        Recentring(options.do_reset_offsets, options.do_recenter, point if options.do_recenter else (0.0, 0.0, 0.0)),
        seed,
    )


def output_box_px(options: Any) -> int:
    """Return the box of the images that come out."""
    return options.rescale if options.do_rescale else options.extract_size


def faults_of(options: Any) -> list[str]:
    """Return one sentence per option of an extraction that cannot be."""
    faults = []
    boxes = {"extract_size": options.extract_size} | ({"rescale": options.rescale} if options.do_rescale else {})
    faults += [f"extract.{name}: {px} px is odd; give an even box." for name, px in boxes.items() if px % 2]
    if options.do_reset_offsets and options.do_recenter:
        faults.append("extract: do_reset_offsets and do_recenter are both on; choose one.")
    if options.do_norm and not faults:
        radius = background_radius_px(options.bg_diameter, options.extract_size, output_box_px(options))
        if 2 * radius >= output_box_px(options) or radius < 1:
            faults.append(
                f"extract.bg_diameter: {options.bg_diameter:g} px must be below the box of {options.extract_size} px "
                "and leave a circle of at least a pixel."
            )
    return faults
