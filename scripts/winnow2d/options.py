"""Every option of every job: one field here is one line of config.yaml, the schema, the manual and job.star.

A field's name is RELION's job option variable and its value means what RELION's window means; fields of
`OwnOptions` are ours. Our defaults that differ from RELION's are marked `ours`.
"""

from __future__ import annotations

from dataclasses import dataclass

from winnow2d.option_fields import RunOptions, option

_IO = "Winnow streams its images by itself"
_PROFILE = "threads and processes belong to the profile, e.g. --set-threads class2d=8"
_ONLY_HELIX = "only with do_helix"
_HELIX = "helical segments are not supported"
_SPLITS = "say own.splits to classify the first round in parts"
_WINDOW = "this kind of Select job is not part of the rounds; run it in RELION"


@dataclass(frozen=True)
class Class2DOptions(RunOptions):
    """RELION's 2D classification job."""

    fn_img: str = option("", "Input images STAR file", "I/O", is_input=True)
    fn_cont: str = option("", "Continue from here (run_itNNN_optimiser.star)", "I/O")
    do_ctf_correction: bool = option(True, "Do CTF-correction?", "CTF")
    ctf_intact_first_peak: bool = option(False, "Ignore CTFs until first peak?", "CTF")
    nr_classes: int = option(1, "Number of classes", "Optimisation", minimum=1, maximum=2000)
    tau_fudge: float = option(2.0, "Regularisation parameter T", "Optimisation", minimum=0.01)
    do_em: bool = option(False, "Use EM algorithm?", "Optimisation")
    nr_iter_em: int = option(25, "Number of EM iterations", "Optimisation", minimum=1, maximum=999)
    do_grad: bool = option(
        True,
        "Use VDAM algorithm?",
        "Optimisation",
    )
    nr_iter_grad: int = option(200, "Number of VDAM mini-batches", "Optimisation", minimum=1)
    particle_diameter: float = option(200.0, "Mask diameter", "Optimisation", unit="A", minimum=1)
    do_zero_mask: bool = option(True, "Mask individual particles with zeros?", "Optimisation")
    highres_limit: float = option(-1.0, "Limit resolution E-step to (-1 = no limit)", "Optimisation", unit="A")
    do_center: bool = option(True, "Center class averages?", "Optimisation")
    dont_skip_align: bool = option(True, "Perform image alignment?", "Sampling")
    psi_sampling: float = option(6.0, "In-plane angular sampling", "Sampling", unit="degrees", minimum=0.1, maximum=90)
    offset_range: float = option(5.0, "Offset search range", "Sampling", unit="px", minimum=0, maximum=100)
    offset_step: float = option(1.0, "Offset search step", "Sampling", unit="px", minimum=0.05, maximum=50)
    allow_coarser: bool = option(False, "Allow coarser sampling?", "Sampling")
    do_helix: bool = option(False, "Classify 2D helical segments?", "Helix", refused=_HELIX)
    helical_tube_outer_diameter: float = option(200.0, "Tube diameter", "Helix", unit="A", unused=_ONLY_HELIX)
    do_bimodal_psi: bool = option(True, "Do bimodal angular searches?", "Helix", unused=_ONLY_HELIX)
    range_psi: float = option(6.0, "Angular search range - psi", "Helix", unit="degrees", unused=_ONLY_HELIX)
    do_restrict_xoff: bool = option(True, "Restrict helical offsets to rise?", "Helix", unused=_ONLY_HELIX)
    helical_rise: float = option(4.75, "Helical rise", "Helix", unit="A", unused=_ONLY_HELIX)
    do_parallel_discio: bool = option(True, "Use parallel disc I/O?", "Compute", unused=_IO)
    nr_pool: int = option(3, "Number of pooled particles", "Compute", unused=_IO)
    do_preread_images: bool = option(False, "Pre-read all particles into RAM?", "Compute", unused=_IO)
    scratch_dir: str = option("", "Copy particles to scratch directory", "Compute", unused=_IO)
    do_combine_thru_disc: bool = option(False, "Combine iterations through disc?", "Compute", unused=_IO)
    use_gpu: bool = option(False, "Use GPU acceleration? (own.device: gpu)", "Compute")
    gpu_ids: str = option("", "Which GPUs to use (0:1 or 0,1), unless own.device is cpu; none named: one", "Compute")
    nr_mpi: int = option(1, "Number of MPI procs", "Running", unused=_PROFILE)
    nr_threads: int = option(1, "Number of threads", "Running", unused=_PROFILE)

    @property
    def n_iterations(self) -> int:
        """The number of the last iteration."""
        return self.nr_iter_em if self.do_em else self.nr_iter_grad


@dataclass(frozen=True)
class SelectOptions(RunOptions):
    """RELION's subset selection job, as automatic selection of 2D classes and as regrouping."""

    fn_model: str = option("", "Select classes from job", "I/O", is_input=True)
    fn_mic: str = option("", "OR select from micrographs.star", "I/O", refused=_WINDOW)
    fn_data: str = option("", "OR select from particles.star", "I/O", is_input=True)
    do_class_ranker: bool = option(
        True,
        "Automatically select 2D classes?",
        "Class options",
        relion_default=False,
    )
    rank_threshold: float = option(
        0.35,
        "Minimum threshold for auto-selection",
        "Class options",
        minimum=0,
        maximum=1,
        relion_default=0.5,
    )
    select_nr_parts: int = option(-1, "Select at least this many particles (-1 = no floor)", "Class options")
    select_nr_classes: int = option(-1, "OR: select at least this many classes (-1 = no floor)", "Class options")
    do_recenter: bool = option(False, "Re-center the class averages?", "Class options")
    do_regroup: bool = option(False, "Regroup the particles?", "Class options")
    nr_groups: int = option(1, "Approximate nr of groups", "Class options", minimum=1)
    do_select_values: bool = option(False, "Select based on metadata values?", "Subsets", refused=_WINDOW)
    select_label: str = option("rlnCtfMaxResolution", "Metadata label for subset selection", "Subsets", refused=_WINDOW)
    select_minval: float = option(-9999.0, "Minimum metadata value", "Subsets", refused=_WINDOW)
    select_maxval: float = option(9999.0, "Maximum metadata value", "Subsets", refused=_WINDOW)
    do_discard: bool = option(False, "Select on image statistics?", "Subsets", refused=_WINDOW)
    discard_label: str = option("rlnImageName", "Metadata label for images", "Subsets", refused=_WINDOW)
    discard_sigma: float = option(4.0, "Sigma-value for discarding images", "Subsets", refused=_WINDOW)
    do_split: bool = option(False, "Split into subsets?", "Subsets", is_input=_SPLITS)
    do_random: bool = option(False, "Randomise order before making subsets?", "Subsets", is_input=_SPLITS)
    split_size: int = option(100, "Subset size", "Subsets", refused=_WINDOW)
    nr_split: int = option(-1, "OR: number of subsets", "Subsets", is_input=_SPLITS)
    do_remove_duplicates: bool = option(False, "Remove duplicates among the kept particles?", "Duplicates")
    duplicate_threshold: float = option(30.0, "Minimum inter-particle distance", "Duplicates", unit="A", minimum=0)
    image_angpix: float = option(
        -1.0, "Pixel size of the micrographs, where particles were down-scaled (-1 = as the images)", "Duplicates",
        unit="A",
    )  # fmt: skip
    do_filaments: bool = option(False, "Select filaments?", "Filaments", refused=_HELIX)
    dendrogram_threshold: float = option(0.85, "Dendrogram threshold", "Filaments", refused=_HELIX)
    dendrogram_minclass: int = option(-1000, "Minimum class size", "Filaments", refused=_HELIX)


@dataclass(frozen=True)
class ExtractOptions(RunOptions):
    """RELION's extraction job; particles that are ready enter through it unchanged."""

    star_mics: str = option("", "Micrograph STAR file", "I/O", is_input=True)
    coords_suffix: str = option("", "Input coordinates", "I/O", is_input=True)
    do_reextract: bool = option(False, "OR re-extract refined particles?", "I/O", is_input=True)
    fndata_reextract: str = option("", "Refined particles STAR file", "I/O", is_input=True)
    do_reset_offsets: bool = option(False, "Reset the refined offsets to zero?", "I/O")
    do_recenter: bool = option(False, "OR: re-center refined coordinates?", "I/O")
    recenter_x: float = option(0.0, "Recenter on X", "I/O", unit="px")
    recenter_y: float = option(0.0, "Recenter on Y", "I/O", unit="px")
    recenter_z: float = option(0.0, "Recenter on Z", "I/O", unit="px")
    extract_size: int = option(128, "Particle box size", "Extract", unit="px", minimum=8)
    do_invert: bool = option(True, "Invert contrast?", "Extract")
    do_float16: bool = option(True, "Write output in float16? (RELION 3.1 cannot read it)", "Extract")
    do_norm: bool = option(True, "Normalize particles?", "Extract")
    bg_diameter: float = option(-1.0, "Diameter background circle (-1 = 0.75 x box)", "Extract", unit="px")
    white_dust: float = option(-1.0, "Stddev for white dust removal (-1 = none)", "Extract")
    black_dust: float = option(-1.0, "Stddev for black dust removal (-1 = none)", "Extract")
    do_rescale: bool = option(False, "Rescale particles?", "Extract")
    rescale: int = option(128, "Re-scaled size", "Extract", unit="px", minimum=8)
    do_fom_threshold: bool = option(False, "Use autopick FOM threshold?", "Extract")
    minimum_pick_fom: float = option(0.0, "Minimum autopick FOM", "Extract")
    do_extract_helix: bool = option(False, "Extract helical segments?", "Helix", refused=_HELIX)
    helical_tube_outer_diameter: float = option(200.0, "Tube diameter", "Helix", unit="A", refused=_HELIX)
    helical_bimodal_angular_priors: bool = option(True, "Use bimodal angular priors?", "Helix", refused=_HELIX)
    do_extract_helical_tubes: bool = option(True, "Coordinates are start-end only?", "Helix", refused=_HELIX)
    do_cut_into_segments: bool = option(True, "Cut helical tubes into segments?", "Helix", refused=_HELIX)
    helical_nr_asu: int = option(1, "Number of unique asymmetrical units", "Helix", refused=_HELIX)
    helical_rise: float = option(1.0, "Helical rise", "Helix", unit="A", refused=_HELIX)
    nr_mpi: int = option(1, "Number of MPI procs", "Running", unused=_PROFILE)


@dataclass(frozen=True)
class OwnOptions:
    """What RELION has no field for."""

    random_seed: int = option(1, "Seed of everything drawn; never the clock", "Winnow", minimum=0)
    device: str = option("auto", "Where the engine runs", "Winnow", choices=("auto", "cpu", "gpu"))
    precision: str = option("single", "Arithmetic of the E-step", "Winnow", choices=("single", "double"))
    compatibility: str = option(
        "none",
        "Keep RELION's known quirks (relion) or correct them (none)",
        "Winnow",
        choices=("none", "relion"),
    )
    preset: str = option(
        "default", "quick: half as many iterations where class2d does not say how many", "Winnow",
        choices=("default", "quick"),
    )  # fmt: skip
    grad_em_iters: int = option(
        5,
        "Last VDAM iterations that are EM over all particles, at most the last fifth (RELION: 0)",
        "Winnow",
        minimum=0,
    )
    keep_iterations: str = option("all", "Iteration files to keep", "Winnow", choices=("all", "last"))
    grad_write_iter: int = option(10, "Write the files of every n-th VDAM iteration", "Winnow", minimum=1)
    stacks_root: str = option("", "Last folder in which relative stack names are looked for", "Winnow")
    auto_box: bool = option(False, "Choose the box of a round's images from mask diameter and resolution?", "Winnow")
    resolution: float = option(
        0.0, "Resolution auto_box must allow (0 = what 64 to 128 px allow)", "Winnow", unit="A", minimum=0
    )
    relative_threshold: float = option(
        0.0, "Keep classes of at least this part of the best score, in place of rank_threshold (0 = off)", "Winnow",
        minimum=0, maximum=1,
    )  # fmt: skip
    quantile_threshold: float = option(
        0.0, "Keep the best classes that hold this share of the particles, in place of rank_threshold (0 = off)",
        "Winnow", minimum=0, maximum=1,
    )  # fmt: skip
    selected_classes: str = option(
        "", "The choice of a round with do_class_ranker: No: 1,3,5-9, a list, or RELION's backup_selection.star",
        "Winnow", is_class_list=True,
    )  # fmt: skip
    guard: str = option(
        "keep", "Where nearly nothing would be kept: keep the best of the other classes, or only warn", "Winnow",
        choices=("keep", "warn"),
    )  # fmt: skip
    least_kept: float = option(
        0.1, "Share of the particles below which a choice keeps nearly nothing", "Winnow", minimum=0, maximum=1
    )
    most_kept: float = option(
        0.98, "Share of the particles above which a choice keeps nearly everything", "Winnow", minimum=0, maximum=1
    )
    particle_filter: bool = option(True, "Prune and rescue single particles, where a choice is automatic?", "Winnow")
    prune_below: float = option(0.5, "Kept classes may lose particles less likely good", "Winnow", minimum=0, maximum=1)
    prune_loss: float = option(0.01, "And this share of their good ones with them", "Winnow", minimum=0, maximum=1)
    rescue_above: float = option(0.7, "Dropped classes keep particles more likely good", "Winnow", minimum=0, maximum=1)
    second_chance: bool = option(False, "Classify rejected particles by themselves, and choose from them?", "Winnow")
    second_chance_threshold: float = option(0.5, "Minimum score of what comes back", "Winnow", minimum=0, maximum=1)
    reextract: bool = option(False, "Extract the kept particles again in the end, whole and re-centred?", "Winnow")
    reextract_micrographs: str = option("", "Micrographs STAR file for reextract, where input names none", "Winnow")
    reextract_size: int = option(
        0, "Box of that extraction (0 = extract_size), not rescaled", "Winnow", unit="px", minimum=0
    )
    passthrough: str = option("", "cryoSPARC's passthrough .cs file, if it does not lie beside its particles", "Winnow")
    map_to: str = option("", "Particles STAR file of another extraction: its rows are wanted in the end", "Winnow")
    map_tolerance: float = option(20.0, "Largest distance between partners of map_to", "Winnow", unit="A", minimum=0)
    map_angpix: float = option(
        -1.0, "Pixel size of both files' coordinates for map_to (-1 = as data_optics says)", "Winnow", unit="A"
    )
    map_poses: bool = option(False, "Give the rows of map_to the in-plane angles and offsets found here?", "Winnow")
    recentre_particles: bool = option(
        True, "With do_recenter, also move the kept particles' offsets as their average was? (RELION: No)", "Winnow"
    )
    min_group_size: int = option(
        0, "With do_regroup, join groups until each has this many particles (0 = by nr_groups)", "Winnow", minimum=0
    )
    keep_rare_views: bool = option(True, "Keep the best class of a view that the choice would lose?", "Winnow")
    stop_share: float = option(
        1.0, "Pass on all further rounds once a round keeps more than this share (1 = never)", "Winnow",
        minimum=0, maximum=1,
    )  # fmt: skip
    stop_unimproved: bool = option(False, "Pass on all further rounds once a round improves nothing?", "Winnow")
    continue_to: int = option(
        0, "Go on to this iteration where a classification has not converged (0 = never)", "Winnow", minimum=0
    )
    splits: int = option(
        1, "Parts that the first round classifies apart, each chosen from by itself and joined", "Winnow",
        minimum=1, maximum=90,
    )  # fmt: skip
    export: str = option(
        "none", "Also write the final particles, under the names they came with, for these programs", "Winnow",
        choices=("none", "relion", "cryosparc", "all"),
    )  # fmt: skip


# Own options read before the first round or after the last: they are said at top level only.
PROJECT_WIDE = (
    "stacks_root", "passthrough", "map_to", "map_tolerance", "map_angpix", "map_poses", "export",
    "reextract", "reextract_micrographs", "reextract_size", "splits", "stop_share",
    "stop_unimproved",
)  # fmt: skip

# Own options that only a choice of classes reads: they change no classification.
OF_SELECTION = (
    "relative_threshold", "quantile_threshold", "selected_classes", "guard", "least_kept", "most_kept",
    "particle_filter", "prune_below", "prune_loss", "rescue_above", "keep_rare_views", "recentre_particles",
)  # fmt: skip
OF_REGROUPING = ("min_group_size",)  # likewise

# Own options of the jobs that follow a choice of classes: they change neither it nor a classification.
OF_SECOND_CHANCE = ("second_chance", "second_chance_threshold")

# What a preset puts in the place of a default.
PRESETS: dict[str, dict[str, int]] = {"default": {}, "quick": {"nr_iter_grad": 100, "nr_iter_em": 13}}

SECTIONS: dict[str, type] = {
    "extract": ExtractOptions,
    "class2d": Class2DOptions,
    "select": SelectOptions,
    "own": OwnOptions,
}
