"""Every rln label Winnow reads or writes: its type, unit and meaning, and a constant for those of particles."""

from __future__ import annotations

from dataclasses import dataclass

IMAGE_NAME = "rlnImageName"
MICROGRAPH_NAME = "rlnMicrographName"
COORDINATES = ("rlnCoordinateX", "rlnCoordinateY")
OPTICS_GROUP = "rlnOpticsGroup"
OPTICS_GROUP_NAME = "rlnOpticsGroupName"
VOLTAGE = "rlnVoltage"
SPHERICAL_ABERRATION = "rlnSphericalAberration"
AMPLITUDE_CONTRAST = "rlnAmplitudeContrast"
IMAGE_PIXEL_SIZE = "rlnImagePixelSize"
IMAGE_SIZE = "rlnImageSize"
IMAGE_DIMENSIONALITY = "rlnImageDimensionality"
IS_CTF_PREMULTIPLIED = "rlnCtfDataAreCtfPremultiplied"
IS_CTF_CORRECTED = "rlnCtfDataAreCtfCorrected"
BEAM_TILT_X = "rlnBeamTiltX"
BEAM_TILT_Y = "rlnBeamTiltY"
ODD_ZERNIKE = "rlnOddZernike"
EVEN_ZERNIKE = "rlnEvenZernike"
MAGNIFICATION = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
DEFOCUS_U = "rlnDefocusU"
DEFOCUS_V = "rlnDefocusV"
DEFOCUS_ANGLE = "rlnDefocusAngle"
PHASE_SHIFT = "rlnPhaseShift"
CTF_BFACTOR = "rlnCtfBfactor"
CTF_SCALEFACTOR = "rlnCtfScalefactor"
GROUP_NAME = "rlnGroupName"
GROUP_NUMBER = "rlnGroupNumber"
ANGLE_ROT = "rlnAngleRot"
ANGLE_TILT = "rlnAngleTilt"
ANGLE_PSI = "rlnAnglePsi"
ORIGIN_X = "rlnOriginXAngst"
ORIGIN_Y = "rlnOriginYAngst"
CLASS_NUMBER = "rlnClassNumber"
NORM_CORRECTION = "rlnNormCorrection"
LOG_LIKELIHOOD = "rlnLogLikeliContribution"
MAX_PROBABILITY = "rlnMaxValueProbDistribution"
N_SIGNIFICANT = "rlnNrOfSignificantSamples"
CENTRING = ("winnowCentringXAngst", "winnowCentringYAngst")  # how a class average was moved after it was averaged
FULL_SIZE_IMAGE_NAME = "winnowFullSizeImageName"  # the image that a smaller one was made from
SOURCE_IMAGE_NAME = "winnowSourceImageName"  # the name an image came with, where it was given another


@dataclass(frozen=True)
class Label:
    """One STAR label: `type` is int, float, bool or text."""

    name: str
    type: str
    unit: str
    meaning: str


def _table(text: str) -> dict[str, Label]:
    """Return labels from lines 'name | type | unit | meaning'."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return {row[0]: Label(*row) for row in rows}


_PARTICLES = """
rlnImageName | text | | image of the particle, number@stack
rlnMicrographName | text | | micrograph the particle was taken from
rlnCoordinateX | float | px | centre of the box in the micrograph, x
rlnCoordinateY | float | px | centre of the box in the micrograph, y
rlnOpticsGroup | int | | number of the optics group, from 1
rlnOpticsGroupName | text | | name of the optics group
rlnVoltage | float | kV | acceleration voltage
rlnSphericalAberration | float | mm | spherical aberration of the objective lens
rlnAmplitudeContrast | float | | fraction of amplitude contrast
rlnImagePixelSize | float | A | pixel size of the particle images
rlnImageSize | int | px | box of the particle images
rlnImageDimensionality | int | | 2 for images
rlnMicrographOriginalPixelSize | float | A | pixel size of the micrograph before down-scaling
rlnMicrographPixelSize | float | A | pixel size of the micrograph
rlnCtfDataAreCtfPremultiplied | bool | | images are already multiplied by their CTF
rlnCtfDataAreCtfCorrected | bool | | images need no CTF correction
rlnDetectorPixelSize | float | um | pixel of the detector (before RELION 3.1)
rlnMagnification | float | | magnification of the detector (before RELION 3.1)
rlnBeamTiltX | float | mrad | beam tilt in x
rlnBeamTiltY | float | mrad | beam tilt in y
rlnOddZernike | text | rad | coefficients of odd aberrations, [a,b,...]
rlnEvenZernike | text | rad | coefficients of even aberrations, [a,b,...]
rlnMagMat00 | float | | anisotropic magnification, first row and column
rlnMagMat01 | float | | anisotropic magnification, first row, second column
rlnMagMat10 | float | | anisotropic magnification, second row, first column
rlnMagMat11 | float | | anisotropic magnification, second row and column
rlnDefocusU | float | A | underfocus along the major axis
rlnDefocusV | float | A | underfocus along the minor axis
rlnDefocusAngle | float | degrees | angle of the major axis to x
rlnPhaseShift | float | degrees | shift of a phase plate
rlnCtfBfactor | float | A2 | decay of the CTF
rlnCtfScalefactor | float | | scale of the CTF
rlnGroupName | text | | intensity group of the particle
rlnGroupNumber | int | | number of the intensity group, from 1; rewritten on reading
rlnAngleRot | float | degrees | first Euler angle; unchanged in 2D
rlnAngleTilt | float | degrees | second Euler angle; unchanged in 2D
rlnAnglePsi | float | degrees | in-plane rotation
rlnOriginX | float | px | offset in x (before RELION 3.1)
rlnOriginY | float | px | offset in y (before RELION 3.1)
rlnOriginZ | float | px | offset in z (before RELION 3.1)
rlnOriginXPrior | float | px | prior of the offset in x (before RELION 3.1)
rlnOriginYPrior | float | px | prior of the offset in y (before RELION 3.1)
rlnOriginZPrior | float | px | prior of the offset in z (before RELION 3.1)
rlnOriginXAngst | float | A | shift that centres the particle, x
rlnOriginYAngst | float | A | shift that centres the particle, y
rlnOriginZAngst | float | A | shift that centres the particle, z
rlnOriginXPriorAngst | float | A | prior of the offset in x
rlnOriginYPriorAngst | float | A | prior of the offset in y
rlnOriginZPriorAngst | float | A | prior of the offset in z
rlnHelicalTrackLength | float | px | way along the filament (before RELION 3.1)
rlnHelicalTrackLengthAngst | float | A | way along the filament
rlnClassNumber | int | | class of the particle, from 1; 0 = never visited
rlnNormCorrection | float | | intensity of the image relative to the model's average
rlnLogLikeliContribution | float | | log-likelihood of the particle
rlnMaxValueProbDistribution | float | | largest posterior probability of the particle
rlnNrOfSignificantSamples | int | | coarse poses that hold 0.999 of the weight
"""

_MODEL = """
rlnReferenceDimensionality | int | | 2 for class averages
rlnDataDimensionality | int | | 2 for images
rlnOriginalImageSize | int | px | box of the model
rlnCurrentResolution | float | A | resolution that sets the next image size
rlnCurrentImageSize | int | px | image size used in this iteration
rlnPaddingFactor | float | | oversampling of references
rlnIsHelix | bool | | helical symmetry
rlnFourierSpaceInterpolator | int | | 1 = linear
rlnMinRadiusNnInterpolation | int | px | below it RELION interpolates by nearest neighbour
rlnPixelSize | float | A | pixel size of the model
rlnNrClasses | int | | number of classes
rlnNrBodies | int | | number of bodies
rlnNrGroups | int | | number of intensity groups
rlnNrOpticsGroups | int | | number of optics groups
rlnTau2FudgeFactor | float | | regularisation parameter T
rlnNormCorrectionAverage | float | | mean of rlnNormCorrection
rlnSigmaOffsetsAngst | float | A | width of the prior on offsets
rlnSigmaOffsets | float | px | width of the prior on offsets (before RELION 3.1)
rlnOrientationalPriorMode | int | | 0 = no prior on angles
rlnSigmaPriorRotAngle | float | degrees | width of the prior on rot
rlnSigmaPriorTiltAngle | float | degrees | width of the prior on tilt
rlnSigmaPriorPsiAngle | float | degrees | width of the prior on psi
rlnLogLikelihood | float | | sum of the particles' log-likelihoods
rlnAveragePmax | float | | mean of rlnMaxValueProbDistribution
rlnReferenceImage | text | | class average, number@stack
rlnClassDistribution | float | | share of the posterior weight
rlnAccuracyRotations | float | degrees | accuracy of angles; 999 = not estimated
rlnAccuracyTranslationsAngst | float | A | accuracy of offsets; 999 = not estimated
rlnAccuracyTranslations | float | px | accuracy of offsets (before RELION 3.1)
rlnEstimatedResolution | float | A | last shell before the SSNR drops below 1
rlnOverallFourierCompleteness | float | | mean coverage inside the estimated resolution
rlnClassPriorOffsetX | float | A | mean offset of the class, x
rlnClassPriorOffsetY | float | A | mean offset of the class, y
rlnSpectralIndex | int | | shell
rlnResolution | float | 1/A | shell / (box x pixel size)
rlnAngstromResolution | float | A | box x pixel size / shell; 999 for shell 0
rlnSsnrMap | float | | data against prior, with T in it
rlnGoldStandardFsc | float | | 0 in classification
rlnFourierCompleteness | float | | share of the shell where data outweigh the prior
rlnReferenceSigma2 | float | FFT / N2 | noise power of the average
rlnReferenceTau2 | float | FFT / N2 | signal power of the reference, without T
rlnSpectralOrientabilityContribution | float | | contribution of the shell to angular accuracy
rlnGroupNrParticles | int | | particles of the intensity group
rlnGroupScaleCorrection | float | | intensity of the group
rlnSigma2Noise | float | FFT / N2 | noise variance of one component
"""

_SAMPLING = """
rlnIs3DSampling | bool | | 0: only psi
rlnIs3DTranslationalSampling | bool | | 0: only x and y
rlnPsiStep | float | degrees | coarse step of psi
rlnOffsetRange | float | A | reach of the offset search
rlnOffsetStep | float | A | coarse step of offsets
rlnHelicalOffsetStep | float | A | -1 without helices
rlnSamplingPerturbInstance | float | | random move of the grids, in steps
rlnSamplingPerturbFactor | float | | largest move of the grids, in steps
rlnHealpixOrderOriginal | int | | first order of the sphere's sampling
rlnPsiStepOriginal | float | degrees | first step of psi
rlnOffsetRangeOriginal | float | A | first reach of the offset search
rlnOffsetStepOriginal | float | A | first step of offsets
"""

_OPTIMISER = """
rlnOutputRootName | text | | stem of all files of the run
rlnModelStarFile | text | | model file of the iteration
rlnExperimentalDataStarFile | text | | particle file of the iteration
rlnOrientSamplingStarFile | text | | sampling file of the iteration
rlnCurrentIteration | int | | number of the iteration
rlnNumberOfIterations | int | | iterations planned
rlnRandomSeed | int | | seed of the run
rlnParticleDiameter | float | A | diameter of the mask
rlnDoZeroMask | bool | | zeros outside the mask, not noise
rlnHighresLimitExpectation | float | A | resolution limit of the E-step; -1 = none
rlnTau2FudgeArg | float | | regularisation parameter T as given
rlnDoSkipAlign | bool | | no alignment, only classification
rlnDoCorrectCtf | bool | | CTF correction
rlnDoCorrectScale | bool | | intensity correction per group
rlnDoCorrectNorm | bool | | intensity correction per image
rlnDoCenterClasses | bool | | class averages are centred
rlnDoIgnoreCtfUntilFirstPeak | bool | | CTF is 1 below its first peak
rlnNumberOfIterWithoutResolutionGain | int | | iterations since the resolution improved
rlnBestResolutionThusFar | float | 1/A | best resolution of the run
rlnNumberOfIterWithoutChangingAssignments | int | | iterations since assignments moved less
rlnOverallAccuracyRotations | float | degrees | best accuracy of angles of any class
rlnOverallAccuracyTranslationsAngst | float | A | best accuracy of offsets of any class
rlnChangesOptimalOrientations | float | degrees | mean change of psi
rlnChangesOptimalOffsets | float | A | change of offsets, root mean square per axis
rlnChangesOptimalClasses | float | | fraction of particles with another class
rlnSmallestChangesOrientations | float | degrees | smallest change of psi so far
rlnSmallestChangesOffsets | float | A | smallest change of offsets so far
rlnSmallestChangesClasses | int | | smallest change of classes so far, rounded up
rlnTomoTomogramsFile | text | | not for tomograms
rlnTomoTrajectoriesFile | text | | not for tomograms
rlnDoSplitRandomHalves | bool | | no half sets in classification
rlnJoinHalvesUntilThisResolution | float | A | no half sets in classification
rlnAdaptiveOversampleOrder | int | | halvings of the grid in the second pass
rlnAdaptiveOversampleFraction | float | | weight the second pass must hold
rlnWidthMaskEdge | int | px | width of the soft edge
rlnDoSolventFlattening | bool | | class averages are masked
rlnDoSolventFscCorrection | bool | | off
rlnSolventMaskName | text | | mask file, none
rlnSolventMask2Name | text | | second mask file, none
rlnBodyStarFile | text | | bodies, none
rlnTauSpectrumName | text | | tau2 from a file, none
rlnMaximumCoarseImageSize | int | px | limit of the first pass; -1 = none
rlnLowresLimitExpectation | float | A | low resolution limit of the E-step; -1 = none
rlnIncrementImageSize | int | px | shells beyond the current resolution
rlnDoMapEstimation | bool | | regularised averages
rlnDoFastSubsetOptimisation | bool | | off
rlnDoExternalReconstruct | bool | | off
rlnDoBlush | bool | | off
rlnBlushNoSpectralTrailing | bool | | off
rlnDoGradientRefine | bool | | VDAM; needs the moment files
rlnDoStochasticGradientDescent | bool | | VDAM, as RELION 3.1 called it
rlnGradMoment1 | text | | number@file of the first moment
rlnGradMoment2 | text | | number@file of the second moment
rlnDoStochasticEM | bool | | off (RELION 3.1)
rlnGradEmIters | int | | gradient descent, not stored
rlnGradHasConverged | bool | | gradient descent, not stored
rlnGradCurrentStepsize | float | | length of VDAM's step
rlnGradSubsetOrder | int | | gradient descent, not stored
rlnGradSuspendFinerSamplingIter | int | | gradient descent, not stored
rlnGradSuspendLocalSamplingIter | int | | gradient descent, not stored
rlnSgdInitialIterationsFraction | float | | gradient descent, not stored
rlnSgdFinalIterationsFraction | float | | gradient descent, not stored
rlnSgdInitialIterations | int | | gradient descent, not stored (RELION 3.1)
rlnSgdFinalIterations | int | | gradient descent, not stored (RELION 3.1)
rlnSgdInBetweenIterations | int | | gradient descent, not stored (RELION 3.1)
rlnSgdMinimumResolution | float | A | gradient descent, not stored
rlnSgdInitialResolution | float | A | gradient descent, not stored
rlnSgdFinalResolution | float | A | gradient descent, not stored
rlnSgdInitialSubsetSize | int | | gradient descent, not stored
rlnSgdFinalSubsetSize | int | | gradient descent, not stored
rlnSgdMuFactor | float | | momentum of VDAM's parameters
rlnSgdSigma2FudgeInitial | float | | gradient descent, not stored (RELION 3.1)
rlnSgdSigma2FudgeHalflife | int | | gradient descent, not stored (RELION 3.1)
rlnSgdSkipAnneal | bool | | gradient descent, not stored
rlnSgdClassInactivityThreshold | float | | share of the mean below which a class is relocated
rlnSgdSubsetSize | int | | particles per mini-batch; -1 = all
rlnSgdWriteEverySubset | int | | gradient descent, not stored
rlnSgdStepsize | float | | gradient descent, not stored
rlnSgdStepsizeScheme | text | | gradient descent, not stored
rlnTau2FudgeScheme | text | | gradient descent, not stored
rlnMaximumSignificantPoses | int | | limit of poses; -1 = none
rlnDoAutoRefine | bool | | off
rlnDoAutoSampling | bool | | off
rlnAutoLocalSearchesHealpixOrder | int | | only in 3D
rlnDoSkipRotate | bool | | off
rlnLocalSymmetryFile | text | | none
rlnDoHelicalRefine | bool | | off
rlnIgnoreHelicalSymmetry | bool | | off
rlnFourierMask | text | | none
rlnHelicalTwistInitial | float | degrees | no helices
rlnHelicalRiseInitial | float | A | no helices
rlnHelicalCentralProportion | float | | no helices
rlnNrHelicalNStart | int | | no helices
rlnHelicalMaskTubeInnerDiameter | float | A | no helices
rlnHelicalMaskTubeOuterDiameter | float | A | no helices
rlnHelicalSymmetryLocalRefinement | bool | | no helices
rlnHelicalSigmaDistance | float | A | no helices
rlnHelicalKeepTiltPriorFixed | bool | | no helices
rlnHasConverged | bool | | off in classification
rlnHasHighFscAtResolLimit | bool | | off in classification
rlnHasLargeSizeIncreaseIterationsAgo | int | | off in classification
rlnCtfDataArePhaseFlipped | bool | | off
rlnDoOnlyFlipCtfPhases | bool | | off
rlnRefsAreCtfCorrected | bool | | class averages are free of the CTF
rlnFixSigmaNoiseEstimates | bool | | off
rlnFixSigmaOffsetEstimates | bool | | off
rlnMaxNumberOfPooledParticles | int | | particles RELION works on together
rlnOffsetRangeX | float | A | off
rlnOffsetRangeY | float | A | off
rlnOffsetRangeZ | float | A | off
"""

LABELS: dict[str, Label] = _table(_PARTICLES) | _table(_MODEL) | _table(_SAMPLING) | _table(_OPTIMISER)
