"""Tell all rounds on one page: class averages, counts and curves (no job of RELION; report/index.html)."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from winnow2d import runner
from winnow2d.formats import mrc
from winnow2d.formats.jobs import read_job_star
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.refinement import read_iteration
from winnow2d.formats.star import read_star
from winnow2d.records import Iteration
from winnow2d.report.page import Project, render_page
from winnow2d.report.tables import RoundRecord, TruthScore, truth_score

SPEC = runner.JobSpec(type="report", is_relion_job=False, directory="report")
_ITERATION = re.compile(r"run_it(\d{3,})_")


def iteration_files(last: Path, name: str) -> dict[int, Path]:
    """Return the files of that name beside an iteration's file, up to that iteration, by number."""
    found = {}
    for path in last.parent.glob(f"run_it*_{name}"):
        if match := _ITERATION.match(path.name):
            found[int(match[1])] = path
    return {number: found[number] for number in sorted(found) if number <= _number(last)}


def _number(path: Path) -> int:
    """Return the iteration a file belongs to."""
    match = _ITERATION.match(path.name)
    if match is None:
        raise ValueError(f"{path}: not a file of an iteration")
    return int(match[1])


def read_stack(path: Path) -> np.ndarray:
    """Return all images of a stack, (k, y, x) float32."""
    count = mrc.read_stack_header(path).n_images
    return mrc.ParticleStack([f"{number}@{path}" for number in range(1, count + 1)]).read(np.arange(count))


def read_history(last_model: Path) -> pd.DataFrame:
    """Return resolution and Pmax after each iteration whose model file is still there."""
    rows = []
    for number, path in iteration_files(last_model, "model.star").items():
        if number == 0:
            continue  # nothing is estimated yet
        general = read_star(path)["model_general"].iloc[0]
        row = {"iteration": number, "resolution_ang": float(general["rlnCurrentResolution"])}
        rows.append(row | {"average_max_probability": float(general["rlnAveragePmax"])})
    return pd.DataFrame(rows, columns=["iteration", "resolution_ang", "average_max_probability"])


def round_facts(optimiser: Path, iteration: Iteration) -> dict[str, str]:
    """Return the options of a classification that are worth naming."""
    general = read_star(optimiser)["optimiser_general"].iloc[0]
    facts = {"Algorithm": "VDAM" if int(general.get("rlnDoGradientRefine", "0")) else "EM"}
    facts["Classes"] = str(iteration.model.n_classes)
    facts["T"] = f"{iteration.model.tau2_fudge:g}"
    facts["Mask diameter"] = f"{float(general['rlnParticleDiameter']):g} Å"
    facts["Average Pmax"] = f"{iteration.model.average_max_probability:.2f}"
    return facts


def read_rounds(inputs: object) -> list[RoundRecord]:
    """Return every round from the files the rule names, in order."""
    names = ("model", "optimiser", "classes", "kept", "class_ledgers", "particle_ledgers")
    lists = [[Path(path) for path in _listed(getattr(inputs, name))] for name in names]
    records = []
    for number, (model, optimiser, classes, kept, class_path, particle_path) in enumerate(
        zip(*lists, strict=True), start=1
    ):
        iteration = read_iteration(optimiser)
        earlier = iteration_files(classes, "classes.mrcs")
        earlier.pop(_number(classes), None)
        previous = max(earlier, default=None)
        records.append(
            RoundRecord(
                number=number,
                classification=optimiser.parent.as_posix(),
                selected=kept.as_posix(),
                n_selected=len(read_star(kept)["particles"]),
                iteration=iteration,
                averages=read_stack(classes),
                class_ledger=read_ledger(class_path),
                particle_ledger=read_ledger(particle_path),
                history=read_history(model),
                previous_number=previous,
                previous_averages=None if previous is None else read_stack(earlier[previous]),
                facts=round_facts(optimiser, iteration),
            )
        )
    return records


def describe_project(extracted: Path, rounds: Sequence[RoundRecord], is_demo: bool) -> Project:
    """Return the head of the page."""
    particles = read_star(extracted)["particles"]
    facts = {}
    if "rlnMicrographName" in particles:
        facts["Micrographs"] = f"{particles['rlnMicrographName'].nunique():,}"
    if rounds:
        optics = rounds[0].iteration.optics[0]
        facts |= {"Box": f"{optics.box_px} px", "Pixel size": f"{optics.pixel_size_ang:g} Å"}
    source = "simulated particles (demo)" if is_demo else entered_from(extracted)
    final = rounds[-1].selected if rounds else extracted.as_posix()
    name = Path.cwd().name or "project"
    return Project(name, source, len(particles), facts, f"Select/clean/particles.star ({final})")


def entered_from(extracted: Path) -> str:
    """Return the file the particles were entered from, as the job that entered them says."""
    job_star = extracted.with_name("job.star")
    if not job_star.is_file():
        return extracted.as_posix()
    found = read_job_star(job_star, None).inputs.get("particles", extracted.as_posix())
    return ", ".join(_listed(found))


def read_truth(paths: Sequence[Path], rounds: Sequence[RoundRecord]) -> TruthScore | None:
    """Return the agreement with the truth; None for real particles."""
    if not paths:
        return None
    truth, *renamed = [read_star(path)["truth"] for path in paths]
    return truth_score(truth, [record.particle_ledger for record in rounds], renamed)


def write_page(inputs: object, page: Path) -> None:
    """Write the page of all rounds."""
    rounds = read_rounds(inputs)
    truth_files = [Path(path) for path in _listed(getattr(inputs, "truth", []))]
    project = describe_project(Path(getattr(inputs, "extracted")), rounds, bool(truth_files))  # noqa: B009
    text = render_page(project, rounds, read_truth(truth_files, rounds))
    aside = page.with_name(page.name + ".tmp")
    aside.write_text(text, encoding="utf-8", newline="\n")
    aside.replace(page)


def _listed(value: object) -> list:
    """Return one path or a list of paths as a list: Snakemake hands one file by itself."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        write_page(job.inputs, Path(job.outputs.page))
