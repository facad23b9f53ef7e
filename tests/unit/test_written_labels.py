"""Our iteration files hold every label that RELION 3.1 or 5 stops without, in their types, and numbers in full.

Which labels these are was found by taking each away from files that RELION 3.1.3 and 5.0.1 continued from.
"""

import numpy as np
import pytest

from relion_layouts import GOLDEN
from winnow2d.formats import labels
from winnow2d.formats.particles import read_particle_table
from winnow2d.formats.refinement import read_iteration, write_iteration
from winnow2d.formats.star import read_star
from winnow2d.options import Class2DOptions, OwnOptions

STEM = "Class2D/job011/run"
OPTIMISER = """
rlnOutputRootName rlnModelStarFile rlnExperimentalDataStarFile rlnOrientSamplingStarFile rlnCurrentIteration
rlnNumberOfIterations rlnDoSplitRandomHalves rlnJoinHalvesUntilThisResolution rlnAdaptiveOversampleOrder
rlnAdaptiveOversampleFraction rlnRandomSeed rlnParticleDiameter rlnWidthMaskEdge rlnDoZeroMask
rlnDoSolventFlattening rlnSolventMaskName rlnSolventMask2Name rlnTauSpectrumName rlnMaximumCoarseImageSize
rlnHighresLimitExpectation rlnIncrementImageSize rlnDoMapEstimation rlnDoAutoRefine
rlnAutoLocalSearchesHealpixOrder rlnNumberOfIterWithoutResolutionGain rlnBestResolutionThusFar
rlnNumberOfIterWithoutChangingAssignments rlnDoSkipAlign rlnOverallAccuracyRotations
rlnOverallAccuracyTranslationsAngst rlnChangesOptimalOrientations rlnChangesOptimalOffsets rlnChangesOptimalClasses
rlnSmallestChangesOrientations rlnSmallestChangesOffsets rlnSmallestChangesClasses rlnHasConverged
rlnHasHighFscAtResolLimit rlnHasLargeSizeIncreaseIterationsAgo rlnDoCorrectNorm rlnDoCorrectScale rlnDoCorrectCtf
rlnDoIgnoreCtfUntilFirstPeak rlnCtfDataArePhaseFlipped rlnDoOnlyFlipCtfPhases rlnRefsAreCtfCorrected
rlnFixSigmaNoiseEstimates rlnFixSigmaOffsetEstimates rlnMaxNumberOfPooledParticles
""".split()
MODEL = {
    "model_general": """
        rlnReferenceDimensionality rlnOriginalImageSize rlnCurrentResolution rlnCurrentImageSize rlnPaddingFactor
        rlnFourierSpaceInterpolator rlnMinRadiusNnInterpolation rlnPixelSize rlnNrClasses rlnNrGroups
        rlnNrOpticsGroups rlnTau2FudgeFactor rlnNormCorrectionAverage rlnSigmaOffsetsAngst rlnOrientationalPriorMode
        rlnSigmaPriorRotAngle rlnSigmaPriorTiltAngle rlnSigmaPriorPsiAngle rlnLogLikelihood rlnAveragePmax
        """,
    "model_classes": """
        rlnReferenceImage rlnClassDistribution rlnAccuracyRotations rlnAccuracyTranslationsAngst rlnClassPriorOffsetX
        rlnClassPriorOffsetY
        """,
    "model_class_1": "rlnSpectralIndex rlnSsnrMap rlnReferenceSigma2 rlnReferenceTau2",
    "model_groups": "rlnGroupNumber rlnGroupName rlnGroupNrParticles rlnGroupScaleCorrection",
    "model_optics_group_1": "rlnSpectralIndex rlnResolution rlnSigma2Noise",
    "model_group_1": "rlnSpectralIndex rlnResolution rlnSigma2Noise",
}
SAMPLING = """
rlnIs3DSampling rlnIs3DTranslationalSampling rlnPsiStep rlnOffsetRange rlnOffsetStep rlnSamplingPerturbFactor
""".split()


@pytest.fixture(params=["em", "vdam"])
def written(request, project):
    """Return the tables of an iteration we wrote, and the iteration, of which the numbers are odd."""
    source = GOLDEN / "Class2D" / {"em": "job002/run_it002", "vdam": "job003/run_it002"}[request.param]
    iteration = read_iteration(f"{source}_optimiser.star")
    draws = np.random.default_rng(1)
    for record, names in (
        (iteration.particles, ("psi_deg", "norm_correction", "log_likelihood", "max_probability")),
        (iteration.model, ("pdf_class", "sigma2_noise", "tau2", "data_vs_prior", "scale_correction")),
    ):
        for name in names:
            values = getattr(record, name)
            setattr(record, name, values * draws.uniform(0.9, 1.1, values.shape))
    is_em = request.param == "em"
    options = Class2DOptions(do_em=is_em, do_grad=not is_em, nr_classes=5, particle_diameter=190.0)
    table = read_particle_table(f"{source}_data.star")
    write_iteration(STEM, iteration, table, options, OwnOptions(), "command")
    tables = {}
    for name in ("optimiser", "model", "sampling", "data"):
        tables |= read_star(f"{STEM}_it002_{name}.star")
    return tables, iteration


def test_no_label_is_missing_that_relion_stops_without(written):
    tables, _ = written
    assert len(OPTIMISER) == 49
    assert set(OPTIMISER) <= set(tables["optimiser_general"])
    for name, wanted in MODEL.items():
        assert set(wanted.split()) <= set(tables[name]), name
    assert set(SAMPLING) <= set(tables["sampling_general"])


def test_cells_are_of_relions_types_and_finite(written):
    """RELION reads a wrong type, nan and inf as 0 without a word."""
    tables, _ = written
    known = {label: item.type for label, item in labels.LABELS.items()}
    for name, table in tables.items():
        for label in table:
            cells = table[label].tolist()
            if known[label] == "int":
                assert all(str(int(cell)) == cell for cell in cells), (name, label)
            elif known[label] == "bool":
                assert set(cells) <= {"0", "1"}, (name, label)
            elif known[label] == "float":
                assert np.isfinite([float(cell) for cell in cells]).all(), (name, label)


def test_tables_stand_in_the_order_of_both_generations(written):
    tables, iteration = written
    names = [name for name in tables if name.startswith("model_")]
    n_classes, n_groups = iteration.model.n_classes, len(iteration.particles.group_names)
    assert names == [
        "model_general", "model_classes", *(f"model_class_{k}" for k in range(1, n_classes + 1)), "model_groups",
        "model_optics_group_1", *(f"model_group_{g}" for g in range(1, n_groups + 1)),
    ]  # fmt: skip
    assert ("rlnGradMoment1" in tables["model_classes"]) == (iteration.moments is not None)


def test_numbers_are_read_back_bit_by_bit(written):
    """RELION has six digits, which a run that goes on would feel."""
    _, iteration = written
    back = read_iteration(f"{STEM}_it002_optimiser.star")
    for record, other, names in (
        (back.particles, iteration.particles, ("psi_deg", "offset_ang", "norm_correction", "log_likelihood")),
        (back.model, iteration.model, ("pdf_class", "sigma2_noise", "tau2", "data_vs_prior", "scale_correction")),
    ):
        for name in names:
            np.testing.assert_array_equal(getattr(record, name), getattr(other, name), err_msg=name)
