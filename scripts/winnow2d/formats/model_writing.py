"""Model -> the tables of run_itNNN_model.star, as RELION 5 and 3.1 read them; see `model_star`."""

from __future__ import annotations

from typing import Any

import numpy as np

from winnow2d.errors import StarError
from winnow2d.formats import labels
from winnow2d.formats.model_star import MOMENT_FILES, NOT_ESTIMATED
from winnow2d.formats.spectra import estimated_resolution_ang, overall_coverage
from winnow2d.formats.star_writing import Cells, Loop, number_cells
from winnow2d.records import Iteration, Model

_WHOLE_BOXES = 10.0  # resolution written for shell 0, in boxes: finite, and read back as shell 0


def model_blocks(iteration: Iteration, classes_file: str) -> dict[str, Any]:
    """Return the tables of a model file, in RELION's order.

    Parameters
    ----------
    iteration : Iteration
    classes_file : str
        The stack of class averages, relative to the project.

    Raises
    ------
    StarError
        If the model's groups are not those of the particles.
    """
    model, particles = iteration.model, iteration.particles
    n_groups = len(particles.group_names)
    if len(model.scale_correction) != n_groups or len(model.sigma2_noise) != len(iteration.optics):
        raise StarError(
            f"{classes_file}: {len(model.scale_correction)} scales and {len(model.sigma2_noise)} noise spectra for "
            f"{n_groups} intensity groups and {len(iteration.optics)} optics groups"
        )
    blocks: dict[str, Any] = {"model_general": _general(model, n_groups, len(iteration.optics))}
    blocks["model_classes"] = _class_table(model, classes_file)
    if model.centring_ang is not None and model.centring_ang.any():
        blocks["model_classes"] |= dict(zip(labels.CENTRING, model.centring_ang.T, strict=True))
    if iteration.moments is not None:
        for label, file in MOMENT_FILES.items():
            named = classes_file.replace("_classes.mrcs", file)
            blocks["model_classes"][label] = [f"{k + 1:06d}@{named}" for k in range(model.n_classes)]
    shells = _class_columns(model)
    for k in range(model.n_classes):
        blocks[f"model_class_{k + 1}"] = _spectra(model, k, shells)
    groups = blocks["model_groups"] = Loop(rlnGroupNumber=np.arange(1, n_groups + 1))
    groups["rlnGroupName"] = particles.group_names
    groups["rlnGroupNrParticles"] = np.bincount(particles.group_index, minlength=n_groups)
    groups["rlnGroupScaleCorrection"] = np.asarray(model.scale_correction, dtype=np.float64)
    noise = [_noise_table(model, optics) for optics in range(len(iteration.optics))]
    blocks |= {f"model_optics_group_{optics + 1}": table for optics, table in enumerate(noise)}
    for group, row in zip(*np.unique(particles.group_index, return_index=True), strict=True):
        blocks[f"model_group_{group + 1}"] = noise[particles.optics_group[row]]
    return blocks


def _general(model: Model, n_groups: int, n_optics_groups: int) -> dict[str, Any]:
    """Return model_general."""
    box_ang = model.box_px * model.pixel_size_ang
    shell = int(model.resolution_shell)
    return {
        "rlnReferenceDimensionality": 2,
        "rlnDataDimensionality": 2,
        "rlnOriginalImageSize": model.box_px,
        "rlnCurrentResolution": box_ang / shell if shell > 0 else _WHOLE_BOXES * box_ang,
        "rlnCurrentImageSize": int(model.image_size_px),
        "rlnPaddingFactor": 2.0,
        "rlnIsHelix": False,
        "rlnFourierSpaceInterpolator": 1,
        "rlnMinRadiusNnInterpolation": 10,
        "rlnPixelSize": float(model.pixel_size_ang),
        "rlnNrClasses": model.n_classes,
        "rlnNrBodies": 1,
        "rlnNrGroups": n_groups,
        "rlnNrOpticsGroups": n_optics_groups,
        "rlnTau2FudgeFactor": float(model.tau2_fudge),
        "rlnNormCorrectionAverage": float(model.norm_correction_average),
        "rlnSigmaOffsetsAngst": float(model.sigma_offset_ang),
        "rlnOrientationalPriorMode": 0,
        "rlnSigmaPriorRotAngle": 0.0,
        "rlnSigmaPriorTiltAngle": 0.0,
        "rlnSigmaPriorPsiAngle": 0.0,
        "rlnLogLikelihood": float(model.log_likelihood),
        "rlnAveragePmax": float(model.average_max_probability),
    }


def _class_table(model: Model, classes_file: str) -> Loop:
    """Return model_classes."""
    ssnr = np.asarray(model.data_vs_prior, dtype=np.float64)
    resolutions = [estimated_resolution_ang(row, model.box_px, model.pixel_size_ang) for row in ssnr]
    coverages = [overall_coverage(row, other) for row, other in zip(ssnr, model.fourier_coverage, strict=True)]
    priors = np.asarray(model.prior_offset_ang, dtype=np.float64)
    return Loop(
        rlnReferenceImage=[f"{k + 1:06d}@{classes_file}" for k in range(model.n_classes)],
        rlnClassDistribution=np.asarray(model.pdf_class, dtype=np.float64),
        rlnAccuracyRotations=_accuracies(model.accuracy_rotation_deg, model.n_classes),
        rlnAccuracyTranslationsAngst=_accuracies(model.accuracy_offset_ang, model.n_classes),
        rlnEstimatedResolution=np.array(resolutions),
        rlnOverallFourierCompleteness=np.array(coverages),
        rlnClassPriorOffsetX=priors[:, 0],
        rlnClassPriorOffsetY=priors[:, 1],
    )


def _accuracies(values: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (k,) accuracies with 999 for those that are not estimated."""
    if len(values) == 0:
        return np.full(n_classes, NOT_ESTIMATED)
    return np.where(np.isfinite(values), values, NOT_ESTIMATED).astype(np.float64)


def _shell_columns(model: Model) -> dict[str, np.ndarray]:
    """Return shell number and resolution, the first columns of every spectrum."""
    shells = np.arange(model.box_px // 2 + 1)
    return {"rlnSpectralIndex": shells, "rlnResolution": shells / (model.box_px * model.pixel_size_ang)}


def _class_columns(model: Model) -> dict[str, Cells]:
    """Return the columns that are the same for every class."""
    columns = _shell_columns(model)
    columns["rlnAngstromResolution"] = np.concatenate([[NOT_ESTIMATED], 1.0 / columns["rlnResolution"][1:]])
    columns["rlnGoldStandardFsc"] = np.zeros(len(columns["rlnResolution"]))
    return {label: number_cells(column) for label, column in columns.items()}


def _spectra(model: Model, k: int, common: dict[str, Cells]) -> Loop:
    """Return model_class_k; where nothing was measured the noise power is 0, as RELION writes it."""
    sigma2 = np.asarray(model.sigma2_reference[k], dtype=np.float64)
    columns = Loop(
        rlnSpectralIndex=common["rlnSpectralIndex"],
        rlnResolution=common["rlnResolution"],
        rlnAngstromResolution=common["rlnAngstromResolution"],
        rlnSsnrMap=np.asarray(model.data_vs_prior[k], dtype=np.float64),
        rlnGoldStandardFsc=common["rlnGoldStandardFsc"],
        rlnFourierCompleteness=np.asarray(model.fourier_coverage[k], dtype=np.float64),
        rlnReferenceSigma2=np.where(np.isfinite(sigma2), sigma2, 0.0),
        rlnReferenceTau2=np.asarray(model.tau2[k], dtype=np.float64),
    )
    if model.orientability is not None:
        columns["rlnSpectralOrientabilityContribution"] = np.asarray(model.orientability[k], dtype=np.float64)
    return columns


def _noise_table(model: Model, optics: int) -> Loop:
    """Return the noise spectrum of an optics group; shells without a value are left out."""
    noise = np.asarray(model.sigma2_noise[optics], dtype=np.float64)
    kept = ~(noise <= 0)  # nan stays, and is refused by the writer
    columns = _shell_columns(model) | {"rlnSigma2Noise": noise}
    return Loop({label: column[kept] for label, column in columns.items()})
