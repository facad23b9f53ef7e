"""Cut particles from the user's micrographs (RELION job type Extract)."""

import dataclasses
import logging
import sys
from pathlib import Path

from winnow2d import runner
from winnow2d.config import check_config
from winnow2d.errors import JobError, StarError
from winnow2d.extraction.auto_box import box_around, chosen_box
from winnow2d.extraction.job import Sources, extract_particles
from winnow2d.extraction.settings import Settings, settings_of
from winnow2d.extraction.truth import write_truth
from winnow2d.formats.coordinates import is_pattern
from winnow2d.formats.micrograph_table import read_micrograph_table
from winnow2d.formats.star import read_star
from winnow2d.intake.rounds import misfits, planned
from winnow2d.options import ExtractOptions


def coordinates_in_form(options: ExtractOptions) -> str:
    """Return what RELION's form names as coordinates, or as particles to be extracted again."""
    return options.fndata_reextract if options.do_reextract else options.coords_suffix


def inputs_of(options: ExtractOptions) -> dict[str, str]:
    """Return the files that a form names; coordinates may be named by a pattern, which is none."""
    coordinates = coordinates_in_form(options)
    files = {"coordinates": coordinates} if Path(coordinates).is_file() else {}
    return files | {"micrographs": options.star_mics}


SPEC = runner.JobSpec(
    type="Extract",
    nodes={"particles": "particles"},
    input_nodes={"micrographs": "micrographs", "coordinates": "coordinates"},
    option_inputs={"star_mics": "micrographs"},
    inputs_of=inputs_of,
    required_inputs=("micrographs",),
    planned_outputs=lambda options: {"particles": "particles.star"},
)
logger = logging.getLogger(__name__)


def form_of(options: ExtractOptions, micrographs: str, coordinates: str) -> ExtractOptions:
    """Return the options with the input as RELION's form names it: particles to be extracted again, or coordinates."""
    is_particles = not is_pattern(coordinates) and coordinates.endswith(".star") and _has_particles(coordinates)
    return dataclasses.replace(
        options,
        star_mics=micrographs,
        do_reextract=is_particles,
        fndata_reextract=coordinates if is_particles else "",
        coords_suffix="" if is_particles else coordinates,
    )


def coordinates_of(job: runner.Job) -> str:
    """Return where the particles are: as the rule says, or as the form of a job.star does.

    Raises
    ------
    JobError
        The form names none.
    """
    given = coordinates_in_form(job.options) or getattr(job.params, "coordinates", "")
    if not given:
        name = "fndata_reextract" if job.options.do_reextract else "coords_suffix"
        raise JobError(f"{job.name}job.star: {name} is empty; name the file with the particles' coordinates")
    return given


def _has_particles(path: str) -> bool:
    return "particles" in read_star(path, wanted=lambda name: name in ("particles", "optics"))


def with_chosen_box(job: runner.Job, options: ExtractOptions, diameter_ang: float) -> ExtractOptions:
    """Return the options with the box that mask diameter and resolution ask for."""
    table = read_micrograph_table(job.inputs.micrographs, needs_ctf=False)
    pixel_ang = float(table.pixel_size_ang.min())
    box = chosen_box(box_around(diameter_ang, pixel_ang), pixel_ang, diameter_ang, job.own.resolution)
    logger.info("%s", box.sentence)
    return dataclasses.replace(
        options, extract_size=box.cut_px, do_rescale=box.is_rescaled, rescale=box.output_px, bg_diameter=-1.0
    )


def check_rounds(job: runner.Job, settings: Settings) -> None:
    """Raise StarError, before any work, if a round's mask does not fit into the images that there will be."""
    rule = globals().get("snakemake")
    rounds = planned(check_config(rule.config).rounds) if rule and rule.config else []
    pixel_ang = float(read_micrograph_table(job.inputs.micrographs, needs_ctf=False).pixel_size_ang.min())
    windowing = settings.windowing
    output_ang = pixel_ang * windowing.box_px / windowing.output_px
    problems = misfits(rounds, windowing.output_px, output_ang, n_particles=sys.maxsize)
    if problems:
        raise StarError(*problems)


if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        options = job.options
        sources = Sources(
            job.inputs.micrographs.as_posix(),
            coordinates_of(job),
            getattr(job.params, "do_ctf_correction", False),  # RELION's form cuts particles without CTF, too
            job.own.stacks_root,
        )
        if job.own.auto_box:
            options = with_chosen_box(job, options, job.params.particle_diameter)
        job.settle(form_of(options, sources.micrographs, sources.coordinates))
        settings = settings_of(job.options, job.own.random_seed)
        check_rounds(job, settings)

        def tell(done: int, total: int, text: str) -> None:
            """Move the bar; everything of the micrographs told so far is on disk."""
            job.progress(done, total, text)
            job.stop_if_aborted()

        table = extract_particles(sources, settings, Path(), job.directory.as_posix(), job.threads, tell)
        for truth in getattr(job.inputs, "picked_truth", []):
            write_truth(job.directory / "truth.star", read_star(truth)["truth"], table.particles)
