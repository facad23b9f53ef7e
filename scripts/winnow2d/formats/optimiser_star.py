"""run_itNNN_optimiser.star: the options of a run, its changes so far, and the names of its other files.

The labels are those of RELION 3.1 and 5 together, so that both read and continue it. The gradient flags are
on for VDAM alone: with them RELION asks for moment files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from winnow2d.formats.cells import finite_or, number_of
from winnow2d.options import Class2DOptions, OwnOptions
from winnow2d.records import Changes, Iteration

TABLE = "optimiser_general"
MASK_EDGE_PX = 5
NOT_ESTIMATED = 999.0
_MOST_CLASS_CHANGES = 9999999
FINAL_FRACTION = 0.2  # of VDAM's iterations are its last phase

# What no option of ours moves: features that are off, and RELION's defaults.
_FIXED: dict[str, Any] = {
    "rlnTomoTomogramsFile": "",
    "rlnTomoTrajectoriesFile": "",
    "rlnDoSplitRandomHalves": False,
    "rlnJoinHalvesUntilThisResolution": -1.0,
    "rlnAdaptiveOversampleOrder": 1,
    "rlnAdaptiveOversampleFraction": 0.999,
    "rlnWidthMaskEdge": MASK_EDGE_PX,
    "rlnDoSolventFlattening": True,
    "rlnDoSolventFscCorrection": False,
    "rlnSolventMaskName": "None",
    "rlnSolventMask2Name": "None",
    "rlnBodyStarFile": "None",
    "rlnTauSpectrumName": "None",
    "rlnMaximumCoarseImageSize": -1,
    "rlnLowresLimitExpectation": -1.0,
    "rlnIncrementImageSize": 10,
    "rlnDoMapEstimation": True,
    "rlnDoFastSubsetOptimisation": False,
    "rlnDoExternalReconstruct": False,
    "rlnDoBlush": False,
    "rlnBlushNoSpectralTrailing": False,
    "rlnDoGradientRefine": False,
    "rlnDoStochasticGradientDescent": False,
    "rlnDoStochasticEM": False,
    "rlnGradEmIters": 0,
    "rlnGradHasConverged": False,
    "rlnGradCurrentStepsize": 0.0,
    "rlnGradSubsetOrder": 0,
    "rlnGradSuspendFinerSamplingIter": -1,
    "rlnGradSuspendLocalSamplingIter": -1,
    "rlnSgdInitialIterationsFraction": 0.3,
    "rlnSgdFinalIterationsFraction": FINAL_FRACTION,
    "rlnSgdInitialIterations": 50,
    "rlnSgdFinalIterations": 50,
    "rlnSgdInBetweenIterations": 200,
    "rlnSgdMinimumResolution": 20.0,
    "rlnSgdInitialResolution": -1.0,
    "rlnSgdFinalResolution": -1.0,
    "rlnSgdInitialSubsetSize": -1,
    "rlnSgdFinalSubsetSize": -1,
    "rlnSgdMuFactor": 0.0,
    "rlnSgdSigma2FudgeInitial": 8.0,
    "rlnSgdSigma2FudgeHalflife": -1,
    "rlnSgdSkipAnneal": False,
    "rlnSgdClassInactivityThreshold": 0.0,
    "rlnSgdSubsetSize": -1,
    "rlnSgdWriteEverySubset": 10,
    "rlnSgdStepsize": -1.0,
    "rlnSgdStepsizeScheme": "",
    "rlnTau2FudgeScheme": "",
    "rlnMaximumSignificantPoses": -1,
    "rlnDoAutoRefine": False,
    "rlnDoAutoSampling": False,
    "rlnAutoLocalSearchesHealpixOrder": 4,
    "rlnDoSkipRotate": False,
    "rlnLocalSymmetryFile": "None",
    "rlnDoHelicalRefine": False,
    "rlnIgnoreHelicalSymmetry": False,
    "rlnFourierMask": "None",
    "rlnHelicalTwistInitial": 0.0,
    "rlnHelicalRiseInitial": 0.0,
    "rlnHelicalCentralProportion": 0.3,
    "rlnNrHelicalNStart": 1,
    "rlnHelicalMaskTubeInnerDiameter": -1.0,
    "rlnHelicalMaskTubeOuterDiameter": -1.0,
    "rlnHelicalSymmetryLocalRefinement": False,
    "rlnHelicalSigmaDistance": -1.0,
    "rlnHelicalKeepTiltPriorFixed": False,
    "rlnHasConverged": False,
    "rlnHasHighFscAtResolLimit": False,
    "rlnHasLargeSizeIncreaseIterationsAgo": 0,
    "rlnDoCorrectNorm": True,
    "rlnCtfDataArePhaseFlipped": False,
    "rlnDoOnlyFlipCtfPhases": False,
    "rlnRefsAreCtfCorrected": True,
    "rlnFixSigmaNoiseEstimates": False,
    "rlnFixSigmaOffsetEstimates": False,
    "rlnMaxNumberOfPooledParticles": 3,
    "rlnOffsetRangeX": -1.0,
    "rlnOffsetRangeY": -1.0,
    "rlnOffsetRangeZ": -1.0,
}


def _gradient(iteration: Iteration, options: Class2DOptions, own: OwnOptions) -> dict[str, Any]:
    """Return what differs between EM and VDAM; without moments no program may take the files for VDAM's."""
    if iteration.moments is None:
        return {}
    first, last = iteration.batch_limits or (-1, -1)
    return {
        "rlnDoGradientRefine": True,
        "rlnDoStochasticGradientDescent": iteration.number > 0,  # RELION turns it on with the first step
        "rlnSgdInitialSubsetSize": int(first),
        "rlnSgdFinalSubsetSize": int(last),
        "rlnSgdWriteEverySubset": int(own.grad_write_iter),
        "rlnGradCurrentStepsize": float(iteration.step_size),
        "rlnGradEmIters": _em_iterations(iteration.total, own),
        "rlnSgdMuFactor": 0.9,
        "rlnSgdClassInactivityThreshold": 0.1,
        "rlnSgdSubsetSize": int(iteration.batch_size),
    }


def _em_iterations(total: int, own: OwnOptions) -> int:
    """Return how many of the last VDAM iterations are EM: no more than the last phase has."""
    return 0 if own.compatibility == "relion" else min(int(own.grad_em_iters), int(FINAL_FRACTION * total))


def optimiser_blocks(
    stem: str, iteration: Iteration, options: Class2DOptions, own: OwnOptions
) -> dict[str, dict[str, Any]]:
    """Return the table of an optimiser file.

    Parameters
    ----------
    stem : str
        Such as Class2D/job011/run; the other files are named after it and the iteration's number.
    iteration : Iteration
    options, own : options of the job
    """
    named = f"{stem}_it{iteration.number:03d}"
    files = {
        "rlnOutputRootName": stem,
        "rlnModelStarFile": f"{named}_model.star",
        "rlnExperimentalDataStarFile": f"{named}_data.star",
        "rlnOrientSamplingStarFile": f"{named}_sampling.star",
        "rlnCurrentIteration": int(iteration.number),
        "rlnNumberOfIterations": int(iteration.total),
    }
    chosen = _gradient(iteration, options, own) | {
        "rlnRandomSeed": int(own.random_seed),
        "rlnParticleDiameter": float(options.particle_diameter),
        "rlnDoZeroMask": bool(options.do_zero_mask),
        "rlnHighresLimitExpectation": float(options.highres_limit),
        "rlnTau2FudgeArg": float(options.tau_fudge),
        "rlnDoSkipAlign": not options.dont_skip_align,
        "rlnDoCorrectCtf": bool(options.do_ctf_correction),
        "rlnDoCorrectScale": len(iteration.particles.group_names) > 1,
        "rlnDoCenterClasses": bool(options.do_center),
        "rlnDoIgnoreCtfUntilFirstPeak": bool(options.ctf_intact_first_peak),
    }
    return {TABLE: files | _FIXED | chosen | _progress(iteration)}


def _progress(iteration: Iteration) -> dict[str, Any]:
    """Return the labels that tell how far the run has come."""
    changes = iteration.changes
    return {
        "rlnNumberOfIterWithoutResolutionGain": int(changes.iterations_without_resolution_gain),
        "rlnBestResolutionThusFar": float(changes.best_resolution_per_ang),
        "rlnNumberOfIterWithoutChangingAssignments": int(changes.iterations_without_assignment_change),
        "rlnOverallAccuracyRotations": _best(iteration.model.accuracy_rotation_deg),
        "rlnOverallAccuracyTranslationsAngst": _best(iteration.model.accuracy_offset_ang),
        "rlnChangesOptimalOrientations": finite_or(float(changes.psi_deg), NOT_ESTIMATED),
        "rlnChangesOptimalOffsets": finite_or(float(changes.offset_ang), NOT_ESTIMATED),
        "rlnChangesOptimalClasses": finite_or(float(changes.class_fraction), _MOST_CLASS_CHANGES),
        "rlnSmallestChangesOrientations": finite_or(float(changes.smallest_psi_deg), NOT_ESTIMATED),
        "rlnSmallestChangesOffsets": finite_or(float(changes.smallest_offset_ang), NOT_ESTIMATED),
        "rlnSmallestChangesClasses": int(min(changes.smallest_class_fraction, _MOST_CLASS_CHANGES)),
    }


def _best(accuracies: np.ndarray) -> float:
    """Return the smallest accuracy of the classes, 999 where none is estimated (at iteration 0 all stand at 0)."""
    values = np.asarray(accuracies, dtype=np.float64)
    values = values[np.isfinite(values) & (values > 0)]
    return float(values.min()) if len(values) else NOT_ESTIMATED


def changes_from_table(table: pd.DataFrame, where: str) -> Changes:
    """Return the changes an optimiser file tells of.

    Raises
    ------
    StarError
        If one of them is no number.
    """

    def value(label: str, default: float) -> float:
        return finite_or(number_of(table, label, default, where=where), default)

    return Changes(
        psi_deg=value("rlnChangesOptimalOrientations", 999.0),
        offset_ang=value("rlnChangesOptimalOffsets", 999.0),
        class_fraction=value("rlnChangesOptimalClasses", float(_MOST_CLASS_CHANGES)),
        smallest_psi_deg=value("rlnSmallestChangesOrientations", 999.0),
        smallest_offset_ang=value("rlnSmallestChangesOffsets", 999.0),
        smallest_class_fraction=value("rlnSmallestChangesClasses", float(_MOST_CLASS_CHANGES)),
        iterations_without_resolution_gain=int(value("rlnNumberOfIterWithoutResolutionGain", 0)),
        iterations_without_assignment_change=int(value("rlnNumberOfIterWithoutChangingAssignments", 0)),
        best_resolution_per_ang=value("rlnBestResolutionThusFar", 0.0),
    )


KEPT = {
    "do_ctf_correction": "rlnDoCorrectCtf",
    "ctf_intact_first_peak": "rlnDoIgnoreCtfUntilFirstPeak",
    "do_zero_mask": "rlnDoZeroMask",
    "highres_limit": "rlnHighresLimitExpectation",
}


def kept_options(table: pd.DataFrame, where: str) -> dict[str, Any]:
    """Return the options that a run which goes on takes from the optimiser file; RELION asks for none of them anew.

    Raises
    ------
    StarError
        If one of them is missing or no number.
    """
    numbers = {name: number_of(table, label, where=where) for name, label in KEPT.items()}
    return {name: number if name == "highres_limit" else bool(number) for name, number in numbers.items()}


def gradient_state(table: pd.DataFrame, where: str) -> dict[str, Any]:
    """Return what an optimiser file tells of VDAM: size of the mini-batch, its limits (None: none), and the step."""

    def value(label: str, default: float) -> float:
        return finite_or(number_of(table, label, default, where=where), default)

    limits = int(value("rlnSgdInitialSubsetSize", -1)), int(value("rlnSgdFinalSubsetSize", -1))
    is_gradient = value("rlnDoGradientRefine", 0) != 0  # RELION 3.1 has defaults of another algorithm here
    return {
        "batch_size": int(value("rlnSgdSubsetSize", -1)),
        "batch_limits": limits if is_gradient and min(limits) > 0 else None,
        "step_size": value("rlnGradCurrentStepsize", 0.0),
    }
