"""Simulate micrographs and what a picker finds on them, with the truth (no job of RELION; Micrographs/)."""

import pandas as pd

from winnow2d import runner
from winnow2d.demo_options import DemoMicrographsOptions
from winnow2d.extraction.asked import SIMULATED
from winnow2d.formats import extraction, simulated_micrographs
from winnow2d.formats.density_map import read_density_map
from winnow2d.formats.star import write_star
from winnow2d.simulation.fields import FieldSimulation

SPEC = runner.JobSpec(type="simulate_micrographs", is_relion_job=False, directory=SIMULATED)

with runner.job(globals(), SPEC) as job:
    options = DemoMicrographsOptions(**job.params.demo)
    map_values, map_pixel_ang = read_density_map(options.map) if options.map else (None, None)
    ctfs = extraction.read_micrograph_ctfs(options.micrographs_star) if options.micrographs_star else None
    simulation = FieldSimulation(options, map_values, map_pixel_ang, ctfs)
    names, truth = [], []
    for field in simulation.fields():
        simulated_micrographs.write_field(field, SIMULATED, options.pixel_size)
        names.append(simulated_micrographs.micrograph_name(field, SIMULATED))
        truth.append(simulated_micrographs.truth_of(field, SIMULATED, options.pixel_size))
        job.progress(field.index + 1, len(simulation.ctfs.names), field.name)
    simulated_micrographs.write_tables(
        simulation.ctfs, options.pixel_size, names, job.outputs.micrographs, job.outputs.coordinates
    )
    write_star(job.outputs.truth, {"truth": pd.concat(truth, ignore_index=True)})
