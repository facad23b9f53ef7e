"""run_itNNN_model.star <-> Model: classes, their spectra, intensity groups and noise.

Written with the tables of RELION 5 (noise per optics group) and of RELION 3.1 (noise per intensity group,
a copy of its optics group's), so that both continue from it; read from either.
"""

from __future__ import annotations

import logging
import math

import numpy as np
import pandas as pd

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.cells import finite_or, number_of, numbers_of
from winnow2d.records import Model, Particles

logger = logging.getLogger(__name__)

NOT_ESTIMATED = 999.0
MOMENT_FILES = {"rlnGradMoment1": "_1moment.mrcs", "rlnGradMoment2": "_2moment.mrcs"}


def model_from_blocks(
    blocks: dict[str, pd.DataFrame], references: np.ndarray, particles: Particles, n_optics: int, where: str
) -> Model:
    """Return the model of a model file.

    Parameters
    ----------
    blocks : dict of DataFrame
        The tables of the file.
    references : (k, y, x) array
    particles : Particles
        Whose intensity groups the scales belong to, and whose optics groups the noise.
    n_optics : int
        Number of optics groups.
    where : str
        Name of the file, for messages.

    Raises
    ------
    StarError
        A table or column is missing, numbers of classes or shells disagree, or a cell is no number.
    """
    general, classes = blocks["model_general"], blocks["model_classes"]
    box, pixel_size = references.shape[-1], number_of(general, "rlnPixelSize", where=where)
    _check_sizes(general, box, len(classes), where)
    resolution = number_of(general, "rlnCurrentResolution", where=where)
    spectra = {
        label: np.stack(
            [_read_spectrum(blocks.get(f"model_class_{k + 1}"), label, box, where) for k in range(len(classes))]
        )
        for label in _SPECTRA
    }
    sigma_offset = number_of(general, "rlnSigmaOffsets", 0.0, where=where) * pixel_size
    priors = [numbers_of(classes, f"rlnClassPriorOffset{axis}", 0.0, where=where) for axis in "XY"]
    first = blocks.get("model_class_1", pd.DataFrame())
    has_orientability = "rlnSpectralOrientabilityContribution" in first.columns
    return Model(
        pixel_size_ang=pixel_size,
        references=references,
        pdf_class=numbers_of(classes, "rlnClassDistribution", where=where),
        prior_offset_ang=np.stack(priors, axis=1),
        sigma_offset_ang=number_of(general, "rlnSigmaOffsetsAngst", sigma_offset, where=where),
        sigma2_noise=_read_noise(blocks, particles, n_optics, box, where),
        scale_correction=_read_scales(blocks.get("model_groups", pd.DataFrame()), particles.group_names, where),
        norm_correction_average=number_of(general, "rlnNormCorrectionAverage", 1.0, where=where),
        tau2_fudge=number_of(general, "rlnTau2FudgeFactor", where=where),
        tau2=spectra["rlnReferenceTau2"],
        sigma2_reference=spectra["rlnReferenceSigma2"],
        data_vs_prior=spectra["rlnSsnrMap"],
        fourier_coverage=spectra["rlnFourierCompleteness"],
        resolution_shell=_shell(resolution, box * pixel_size),
        image_size_px=int(number_of(general, "rlnCurrentImageSize", where=where)),
        log_likelihood=finite_or(number_of(general, "rlnLogLikelihood", 0.0, where=where), 0.0),
        average_max_probability=finite_or(number_of(general, "rlnAveragePmax", 0.0, where=where), 0.0),
        accuracy_rotation_deg=numbers_of(classes, "rlnAccuracyRotations", NOT_ESTIMATED, where=where),
        accuracy_offset_ang=_read_offset_accuracies(classes, pixel_size, where),
        orientability=spectra["rlnSpectralOrientabilityContribution"] if has_orientability else None,
        centring_ang=_read_centring(classes, where),
    )


_SPECTRA = (
    "rlnSsnrMap",
    "rlnFourierCompleteness",
    "rlnReferenceSigma2",
    "rlnReferenceTau2",
    "rlnSpectralOrientabilityContribution",
)


def _check_sizes(general: pd.DataFrame, box: int, n_classes: int, where: str) -> None:
    """Raise a StarError unless the model's box and number of classes are those of its images and rows."""
    if box != int(number_of(general, "rlnOriginalImageSize", where=where)):
        raise StarError(f"{where}: rlnOriginalImageSize differs from the box of the class averages, {box}")
    if n_classes != int(number_of(general, "rlnNrClasses", where=where)):
        raise StarError(f"{where}: {n_classes} rows in data_model_classes, but rlnNrClasses says otherwise")


def _read_offset_accuracies(classes: pd.DataFrame, pixel_size_ang: float, where: str) -> np.ndarray:
    """Return (k,) accuracies of offsets in A; old files have them in pixels."""
    in_px = numbers_of(classes, "rlnAccuracyTranslations", NOT_ESTIMATED / pixel_size_ang, where=where)
    if "rlnAccuracyTranslationsAngst" not in classes.columns:
        return in_px * pixel_size_ang
    return numbers_of(classes, "rlnAccuracyTranslationsAngst", where=where)


def _read_centring(classes: pd.DataFrame, where: str) -> np.ndarray | None:
    """Return how each class average was moved after it was averaged, (k, 2) in A; None where the file does not say."""
    if not set(labels.CENTRING) <= set(classes.columns):
        return None
    return np.stack([numbers_of(classes, label, where=where) for label in labels.CENTRING], axis=1)


def _shell(resolution_ang: float, box_ang: float) -> int:
    """Return the shell of a resolution; infinity (RELION's iteration 0) is shell 0."""
    return round(box_ang / resolution_ang) if math.isfinite(resolution_ang) and resolution_ang > 0 else 0


def _read_spectrum(table: pd.DataFrame | None, label: str, box: int, where: str) -> np.ndarray:
    """Return one column by shell, (s,); shells or tables that are missing are 0."""
    spectrum = np.zeros(box // 2 + 1)
    if table is None or len(table) == 0:
        return spectrum
    shells = numbers_of(table, "rlnSpectralIndex", where=where).astype(np.int64)
    if shells.min() < 0 or shells.max() >= len(spectrum):
        raise StarError(f"{where}: rlnSpectralIndex {shells.max()} does not fit a box of {box} pixels")
    spectrum[shells] = numbers_of(table, label, 0.0, where=where)
    return spectrum


def _read_noise(
    blocks: dict[str, pd.DataFrame], particles: Particles, n_optics: int, box: int, where: str
) -> np.ndarray:
    """Return (g, s) noise of the optics groups; that of RELION 3.1's groups is averaged by particles."""
    noise = np.zeros((n_optics, box // 2 + 1))
    weights = np.zeros(n_optics)
    for optics in range(n_optics):
        table = blocks.get(f"model_optics_group_{optics + 1}")
        if table is not None:
            noise[optics], weights[optics] = _read_spectrum(table, "rlnSigma2Noise", box, where), 1.0
            continue
        rows = particles.group_index[particles.optics_group == optics]
        for group, count in zip(*np.unique(rows, return_counts=True), strict=True):
            table = blocks.get(f"model_group_{group + 1}")
            if table is not None:
                noise[optics] += count * _read_spectrum(table, "rlnSigma2Noise", box, where)
                weights[optics] += count
    is_used = np.isin(np.arange(n_optics), particles.optics_group)
    is_missing = weights == 0
    if (is_missing & is_used).any() or is_missing.all():
        missing = int(np.flatnonzero(is_missing & is_used if is_used.any() else is_missing)[0]) + 1
        raise StarError(f"{where}: no noise spectrum of optics group {missing} (data_model_optics_group_{missing})")
    noise /= np.maximum(weights, 1)[:, None]
    noise[is_missing] = noise[~is_missing].mean(axis=0)  # of a group without particles, for which RELION writes none
    return noise


def _read_scales(groups: pd.DataFrame, names: list[str], where: str) -> np.ndarray:
    """Return (m,) scales of the intensity groups, found by name; 1 for a group the model does not know."""
    if "rlnGroupName" not in groups.columns:
        return np.ones(len(names))
    scales = numbers_of(groups, "rlnGroupScaleCorrection", where=where)
    scale_of = dict(zip(groups["rlnGroupName"], scales, strict=True))
    unknown = [name for name in names if name not in scale_of]
    if unknown:
        logger.warning("%s: no scale of %d intensity groups (%s ...); 1 is taken", where, len(unknown), unknown[0])
    return np.array([scale_of.get(name, 1.0) for name in names])
