"""Simulate particles with known truth and enter them as if extracted (RELION job type Extract)."""

import pandas as pd

from winnow2d import runner
from winnow2d.demo_options import DemoOptions
from winnow2d.formats import extraction
from winnow2d.formats.density_map import read_density_map
from winnow2d.formats.mrc import write_stack
from winnow2d.formats.star import write_star
from winnow2d.simulation.dataset import Simulation

SPEC = runner.JobSpec(type="Extract", nodes={"particles": "particles"})

with runner.job(globals(), SPEC) as job:
    options = DemoOptions(**job.params.demo)
    map_values, map_pixel_ang = read_density_map(options.map) if options.map else (None, None)
    ctfs = extraction.read_micrograph_ctfs(options.micrographs_star) if options.micrographs_star else None
    simulation = Simulation(options, map_values, map_pixel_ang, ctfs)
    particles, truth = [], []
    for micrograph in simulation.micrographs():
        job.stop_if_aborted()
        stack = extraction.extracted_stack(job.directory, micrograph.name)
        write_stack(stack, micrograph.images, options.pixel_size)
        particles.append(extraction.particle_rows(micrograph, simulation.ctfs, stack))
        truth.append(extraction.truth_rows(micrograph, stack))
        job.progress(micrograph.index + 1, len(simulation.ctfs.names), micrograph.name)
    optics = extraction.optics_table(simulation.optics)
    write_star(job.outputs.truth, {"truth": pd.concat(truth, ignore_index=True)})
    write_star(job.outputs.particles, {"optics": optics, "particles": pd.concat(particles, ignore_index=True)})
