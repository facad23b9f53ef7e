"""Tell all rounds on one page: class averages, counts and curves (no job of RELION; report/index.html)."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from winnow2d import runner
from winnow2d.errors import ImageError, StarError
from winnow2d.formats import mrc
from winnow2d.formats.cells import number_or
from winnow2d.formats.iteration_names import iteration_number, iterations_up_to
from winnow2d.formats.jobs import is_ours, read_job_star
from winnow2d.formats.ledger import read_ledger, write_whole_ledger
from winnow2d.formats.overrides import path_of
from winnow2d.formats.refinement import read_iteration
from winnow2d.formats.star import read_star
from winnow2d.records import Iteration
from winnow2d.report.page import Project, render_page
from winnow2d.report.tables import RoundRecord, TruthScore, truth_score

SPEC = runner.JobSpec(type="report", is_relion_job=False, directory="report")
PROPOSAL = "proposal.tsv"
UNKNOWN = "not known"
GENERAL = "model_general"
logger = logging.getLogger("winnow2d")


def read_stack(path: Path) -> np.ndarray:
    """Return all images of a stack, (k, y, x) float32."""
    count = mrc.read_stack_header(path).n_images
    return mrc.ParticleStack([f"{number}@{path}" for number in range(1, count + 1)]).read(np.arange(count))


def read_history(last_model: Path) -> pd.DataFrame:
    """Return resolution and Pmax after each iteration whose model file is there; NaN where it does not say."""
    rows = []
    for number, path in iterations_up_to(last_model, "model.star").items():
        if number == 0:
            continue  # nothing is estimated yet
        try:
            general = read_star(path, wanted=lambda name: name == GENERAL).get(GENERAL, pd.DataFrame())
        except StarError as error:  # an earlier iteration of another program's job: its last one has been read
            logger.warning("%s", error)
            continue
        row = {"iteration": number, "resolution_ang": number_or(general, "rlnCurrentResolution", math.nan)}
        rows.append(row | {"average_max_probability": number_or(general, "rlnAveragePmax", math.nan)})
    return pd.DataFrame(rows, columns=["iteration", "resolution_ang", "average_max_probability"])


def averages_before(classes: Path) -> tuple[int | None, np.ndarray | None]:
    """Return the number and the class averages of the iteration before, of those that are there and whole."""
    earlier = iterations_up_to(classes, "classes.mrcs")
    earlier.pop(iteration_number(classes), None)
    if not earlier:
        return None, None
    number = max(earlier)
    try:
        return number, read_stack(earlier[number])
    except ImageError as error:
        logger.warning("%s", error)
        return None, None


def round_facts(optimiser: Path, iteration: Iteration, history: pd.DataFrame) -> dict[str, str]:
    """Return the options of a classification that are worth naming."""
    general = read_star(optimiser)["optimiser_general"]
    diameter = number_or(general, "rlnParticleDiameter", math.nan)
    pmax = history["average_max_probability"].iloc[-1] if len(history) else math.nan
    return {
        "Algorithm": algorithm_of(general),
        "Classes": str(iteration.model.n_classes),
        "T": f"{iteration.model.tau2_fudge:g}",
        "Mask diameter": f"{diameter:g} Å" if diameter > 0 else UNKNOWN,
        "Average Pmax": f"{pmax:.2f}" if math.isfinite(pmax) else UNKNOWN,
    }


def algorithm_of(general: pd.DataFrame) -> str:
    """Return the name of the algorithm that an optimiser file tells of; RELION 3.1 had another gradient descent."""
    if number_or(general, "rlnDoGradientRefine", 0):
        return "VDAM"
    is_descent = number_or(general, "rlnDoStochasticGradientDescent", 0) and "rlnDoGradientRefine" not in general
    return "stochastic gradient descent" if is_descent else "EM"


def read_rounds(inputs: Any) -> list[RoundRecord]:
    """Return every round from the files the rule names, in order."""
    names = ("model", "optimiser", "classes", "class_ledgers")
    lists = [[Path(path) for path in _listed(getattr(inputs, name))] for name in names]
    decided = iter(zip(_listed(inputs.kept), _listed(inputs.particle_ledgers), strict=True))
    records = []
    for number, (model, optimiser, classes, class_path) in enumerate(zip(*lists, strict=True), start=1):
        iteration, class_ledger = read_iteration(optimiser), read_ledger(class_path)
        is_pending = class_path.name == PROPOSAL
        kept, particle_path = ("", "") if is_pending else next(decided)
        particle_ledger = as_proposed(iteration, class_ledger) if is_pending else read_ledger(particle_path)
        history, (previous, previous_averages) = read_history(model), averages_before(classes)
        records.append(
            RoundRecord(
                number=number,
                classification=optimiser.parent.as_posix(),
                selected=str(kept),
                n_selected=int(particle_ledger["kept"].sum()) if is_pending else len(read_star(kept)["particles"]),
                iteration=iteration,
                averages=read_stack(classes),
                class_ledger=class_ledger,
                particle_ledger=particle_ledger,
                history=history,
                previous_number=previous,
                previous_averages=previous_averages,
                facts=round_facts(optimiser, iteration, history),
                is_pending=is_pending,
            )
        )
    return records


def as_proposed(iteration: Iteration, proposal: pd.DataFrame) -> pd.DataFrame:
    """Return a ledger of particles as it would be if a round's proposal were followed."""
    index = iteration.particles.class_index
    kept = np.append(proposal["kept"].to_numpy(dtype=bool), False)[index]
    return pd.DataFrame({"class": index + 1, "kept": kept})


def notices(rounds: Sequence[RoundRecord], class_ledgers: Sequence[Path]) -> list[str]:
    """Return what is to be said above all else: which rounds wait for a choice by hand, and how to make it."""
    return [
        f"Round {record.number} waits for a choice of classes by hand. What is marked as kept is only what the rules "
        f"propose. Write the classes to keep into {path_of(path.parent.name.rpartition('_')[2])} and start the run "
        "again: it goes on from there."
        for record, path in zip(rounds, class_ledgers, strict=True)
        if record.is_pending
    ]


def describe_project(extracted: Sequence[Path], rounds: Sequence[RoundRecord], is_demo: bool) -> Project:
    """Return the head of the page."""
    particles = [read_star(path)["particles"] for path in extracted]
    facts = {}
    if all("rlnMicrographName" in table for table in particles):
        facts["Micrographs"] = f"{len(set().union(*(table['rlnMicrographName'] for table in particles))):,}"
    if rounds:
        optics = rounds[0].iteration.optics[0]
        facts |= {"Box": f"{optics.box_px} px", "Pixel size": f"{optics.pixel_size_ang:g} Å"}
    source = "simulated particles (demo)" if is_demo else ", ".join(map(entered_from, extracted))
    final = rounds[-1].selected if rounds else extracted[-1].as_posix()
    told = f"Select/clean/particles.star ({final})" if final else "none yet: a round waits for a choice by hand"
    return Project(Path.cwd().name or "project", source, sum(map(len, particles)), facts, told)


def entered_from(extracted: Path) -> str:
    """Return the file the particles were entered from, as the job that entered them says."""
    job_star = extracted.with_name("job.star")
    if not (job_star.is_file() and is_ours(extracted.parent)):  # else the data file of a classification given
        return extracted.as_posix()
    found = read_job_star(job_star, None).inputs.get("particles", extracted.as_posix())
    return ", ".join(_listed(found))


def read_truth(paths: Sequence[Path], rounds: Sequence[RoundRecord]) -> TruthScore | None:
    """Return the agreement with the truth; None for real particles, and before any choice."""
    if not paths or not rounds:
        return None
    truth, *renamed = [read_star(path)["truth"] for path in paths]
    return truth_score(truth, [record.particle_ledger for record in rounds], renamed)


def write_page(inputs: Any, page: Path) -> None:
    """Write the page of all rounds."""
    rounds = read_rounds(inputs)
    truth_files = [Path(path) for path in _listed(getattr(inputs, "truth", []))]
    project = describe_project([Path(path) for path in _listed(inputs.extracted)], rounds, bool(truth_files))
    chosen = [record for record in rounds if not record.is_pending]
    decided = [Path(path) for path in _listed(inputs.particle_ledgers)]
    names = [path.parent.name.removeprefix("round_") for path in decided]
    ledgers = [record.particle_ledger for record in chosen]
    write_whole_ledger(page.with_name("particles.tsv"), list(zip(names, ledgers, strict=True)))
    said = notices(rounds, [Path(path) for path in _listed(inputs.class_ledgers)])
    text = render_page(project, rounds, read_truth(truth_files, chosen), said)
    aside = page.with_name(page.name + ".tmp")
    aside.write_text(text, encoding="utf-8", newline="\n")
    aside.replace(page)


def _listed(value: object) -> list:
    """Return one path or a list of paths as a list: Snakemake hands one file by itself."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


if __name__ == "__main__":
    with runner.job(globals(), SPEC) as job:
        write_page(job.inputs, Path(job.outputs.page))
