"""Make the images of ready particles smaller for a round, or give them back whole (RELION job type Extract)."""

import dataclasses
import logging
from pathlib import Path

import numpy as np

from winnow2d import runner
from winnow2d.extraction.auto_box import chosen_box
from winnow2d.extraction.downsample import Rescaling, downsampled, full_size
from winnow2d.extraction.truth import write_renamed_truth
from winnow2d.formats import labels
from winnow2d.formats.joining import read_joined
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.star import read_star

SPEC = runner.JobSpec(
    type="Extract",
    nodes={"particles": "particles"},
    input_nodes={"particles": "particles"},
    option_inputs={"fndata_reextract": "particles"},
)
logger = logging.getLogger("winnow2d")


def chosen_rescaling(table: ParticleTable, job: runner.Job) -> Rescaling:
    """Return the box that mask diameter and resolution ask for, of each optics group."""
    boxes = table.optics[labels.IMAGE_SIZE].astype(int).tolist()
    pixels = table.optics[labels.IMAGE_PIXEL_SIZE].astype(float).tolist()
    outputs = []
    for box_px, pixel_ang in zip(boxes, pixels, strict=True):
        box = chosen_box(box_px, pixel_ang, job.params.particle_diameter, job.own.resolution)
        logger.info("%s", box.sentence)
        outputs.append(box.output_px)
    return Rescaling(np.array(boxes), np.array(outputs), job.options.do_float16)


if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        given, entered = read_particle_table(job.inputs.particles), read_joined(job.inputs.entered)
        table = full_size(given, entered)
        options = dataclasses.replace(job.options, do_reextract=True)
        if job.own.auto_box:
            rescaling = chosen_rescaling(table, job)
            smallest = int(rescaling.outputs_px.min())
            is_rescaled = bool((rescaling.outputs_px != rescaling.boxes_px).any())
            options = dataclasses.replace(
                options, extract_size=int(rescaling.boxes_px.max()), do_rescale=is_rescaled, rescale=smallest,
                do_invert=False,
            )  # fmt: skip

            def tell(done: int, total: int, text: str) -> None:
                """Move the bar; the stacks told so far are on disk."""
                job.progress(done, total, text)
                job.stop_if_aborted()

            table = downsampled(table, rescaling, Path(), job.directory.as_posix(), job.threads, tell)
        job.settle(options)
        for truth in job.inputs.truth:
            write_renamed_truth(
                job.directory / "truth.star", read_star(truth)["truth"], entered.particles, table.particles
            )
        write_particle_table(job.outputs.particles, table)
