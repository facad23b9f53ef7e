"""Checks of data_optics: the numbers of the microscope, aberrations, magnification, and what cannot be undone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from winnow2d.formats import labels
from winnow2d.formats.optics_table import CTF_OF_OPTICS, coefficient_column
from winnow2d.intake.findings import Findings, name_rows, name_some, numbers

_OPTIONAL_NUMBERS = (
    labels.BEAM_TILT_X, labels.BEAM_TILT_Y, *labels.MAGNIFICATION, labels.IS_CTF_PREMULTIPLIED, labels.IS_CTF_CORRECTED,
)  # fmt: skip
_PHASE_FLIPPED = "rlnCtfDataArePhaseFlipped"
_MTF = "rlnMtfFileName"


def check_optics(optics: pd.DataFrame, source: str, findings: Findings) -> None:
    """Add what is wrong with the optics table, or cannot be taken into account."""
    _check_values(optics, source, findings)
    _check_aberrations(optics, source, findings)
    _check_magnification(optics, source, findings)
    _check_unsupported(optics, source, findings)


def _check_values(optics: pd.DataFrame, source: str, findings: Findings) -> None:
    wanted = {
        "rlnVoltage": (0.0, 10000.0, "above 0 kV"),
        "rlnSphericalAberration": (-np.inf, np.inf, "a number in mm"),
        "rlnAmplitudeContrast": (-1.0, 1.0, "a fraction between -1 and 1"),
        "rlnImagePixelSize": (0.0, np.inf, "a pixel size above 0 A"),
    }
    for label, (low, high, expected) in wanted.items():
        if label not in optics:
            kind = "CTF column " if label in CTF_OF_OPTICS else ""
            findings.error(f"{source}: data_optics has no {kind}{label}, expected {expected}. Add the column.")
            continue
        values = numbers(optics[label])
        is_wrong = ~((values > low) & (values < high))
        if is_wrong.any():
            found = name_some(list(optics[label].to_numpy()[is_wrong]))
            findings.error(
                f"{source}: data_optics {name_rows(is_wrong)}: {label} is {found}, expected {expected}. Correct it."
            )
    if "rlnImageSize" in optics:
        size = numbers(optics["rlnImageSize"])
        is_wrong = ~((size > 0) & (size % 2 == 0))
        if is_wrong.any():
            found = name_some(list(optics["rlnImageSize"].to_numpy()[is_wrong]))
            findings.error(
                f"{source}: data_optics {name_rows(is_wrong)}: rlnImageSize is {found}, expected an even number of "
                "pixels. Extract the particles again with an even box."
            )
    if "rlnImageDimensionality" in optics:
        is_wrong = numbers(optics["rlnImageDimensionality"]) != 2
        if is_wrong.any():
            findings.error(
                f"{source}: data_optics {name_rows(is_wrong)}: rlnImageDimensionality is not 2; only two-dimensional "
                "particle images can be classified here."
            )


def _check_aberrations(optics: pd.DataFrame, source: str, findings: Findings) -> None:
    for label in _OPTIONAL_NUMBERS:
        if label not in optics:
            continue
        is_wrong = np.isnan(numbers(optics[label]))
        if is_wrong.any():
            found = name_some(list(optics[label].to_numpy()[is_wrong]))
            findings.error(
                f"{source}: data_optics {name_rows(is_wrong)}: {label} is {found}, expected a finite number."
            )
    problems: list[str] = []
    for label in (labels.ODD_ZERNIKE, labels.EVEN_ZERNIKE):
        coefficient_column(optics, label, problems)
    findings.errors.extend(f"{source}: {problem.removeprefix('table ')}" for problem in problems)


def _check_magnification(optics: pd.DataFrame, source: str, findings: Findings) -> None:
    present = [label for label in labels.MAGNIFICATION if label in optics]
    if not present:
        return
    if len(present) < len(labels.MAGNIFICATION):
        findings.warn(
            f"{source}: data_optics has {name_some(present)} but not all four of rlnMagMat00 to rlnMagMat11; no "
            "anisotropic magnification is taken into account, as in RELION."
        )
        return
    m00, m01, m10, m11 = (numbers(optics[label]) for label in labels.MAGNIFICATION)
    is_wrong = np.abs(m00 * m11 - m01 * m10) < 0.1
    if is_wrong.any():
        findings.error(
            f"{source}: data_optics {name_rows(is_wrong)}: rlnMagMat00 to rlnMagMat11 are not the matrix of a "
            "magnification (its determinant is near 0), expected about 1 0 0 1. Correct it."
        )


def _check_unsupported(optics: pd.DataFrame, source: str, findings: Findings) -> None:
    """Add phase-flipped images, which RELION's job has no option for, and different detectors, which it corrects."""
    if _PHASE_FLIPPED in optics and (numbers(optics[_PHASE_FLIPPED]) == 1).any():
        findings.error(
            f"{source}: data_optics: {_PHASE_FLIPPED} is 1, but 2D classification expects images as recorded, "
            "with a CTF that changes sign. Extract the particles again without phase flipping."
        )
    names = sorted(set(optics[_MTF])) if _MTF in optics else []
    if len(names) > 1:  # RELION divides by the MTF over the mean MTF, which is 1 where all groups have the same
        findings.error(
            f"{source}: data_optics: {_MTF} names {len(names)} different files ({name_some(names)}); the difference "
            "between detectors cannot be corrected. Remove the column, or clean each detector's particles apart."
        )
