"""Extract kept particles again from their micrographs: whole and re-centred, or for a finer round (RELION: Extract)."""

import dataclasses
import logging
from pathlib import Path

from winnow2d import runner
from winnow2d.extraction.auto_box import box_around, chosen_box
from winnow2d.extraction.job import Sources, extract_particles
from winnow2d.extraction.settings import settings_of
from winnow2d.extraction.truth import write_renamed_truth
from winnow2d.formats import labels
from winnow2d.formats.joining import read_joined
from winnow2d.formats.micrograph_table import read_micrograph_table
from winnow2d.formats.star import read_star
from winnow2d.options import ExtractOptions

SPEC = runner.JobSpec(
    type="Extract",
    nodes={"particles": "particles"},
    input_nodes={"particles": "particles", "micrographs": "micrographs"},
    option_inputs={"fndata_reextract": "particles", "star_mics": "micrographs"},
)
logger = logging.getLogger("winnow2d")


def box_of(job: runner.Job) -> tuple[int, int]:
    """Return the box to cut and the one of the images, in pixels."""
    pixel_ang = float(read_micrograph_table(job.inputs.micrographs, needs_ctf=False).pixel_size_ang.min())
    diameter_ang, is_final = job.params.particle_diameter, job.params.is_final
    if job.own.reextract_size and is_final:
        cut_px = job.own.reextract_size
    elif job.params.box_from == "mask":
        cut_px = box_around(diameter_ang, pixel_ang)
    elif job.params.box_from == "particles":
        optics = read_joined(job.inputs.entered).optics
        lengths = optics[labels.IMAGE_SIZE].astype(float) * optics[labels.IMAGE_PIXEL_SIZE].astype(float)
        cut_px = 2 * round(float(lengths.max()) / pixel_ang / 2)
    else:
        cut_px = job.options.extract_size
    if is_final:
        logger.info("Extracted whole: %d px of %g A, re-centred on the offsets found", cut_px, pixel_ang)
        return cut_px, cut_px
    box = chosen_box(cut_px, pixel_ang, diameter_ang, job.own.resolution)
    logger.info("%s", box.sentence)
    return box.cut_px, box.output_px


def settled(options: ExtractOptions, cut_px: int, output_px: int, is_final: bool) -> ExtractOptions:
    """Return the options of this extraction."""
    return dataclasses.replace(
        options, do_reextract=True, do_recenter=is_final, do_reset_offsets=False,
        recenter_x=0.0, recenter_y=0.0, recenter_z=0.0, do_fom_threshold=False,
        extract_size=cut_px, do_rescale=output_px != cut_px, rescale=output_px,
    )  # fmt: skip


if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        cut_px, output_px = box_of(job)
        job.settle(settled(job.options, cut_px, output_px, job.params.is_final))
        sources = Sources(
            job.inputs.micrographs.as_posix(), job.inputs.particles.as_posix(), False, job.own.stacks_root
        )

        def tell(done: int, total: int, text: str) -> None:
            """Move the bar; the micrographs told so far are on disk."""
            job.progress(done, total, text)
            job.stop_if_aborted()

        settings = settings_of(job.options, job.own.random_seed)
        table = extract_particles(sources, settings, Path(), job.directory.as_posix(), job.threads, tell)
        for truth in job.inputs.truth:
            entered = read_joined(job.inputs.entered).particles
            write_renamed_truth(job.directory / "truth.star", read_star(truth)["truth"], entered, table.particles)
