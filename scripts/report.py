"""Tell all rounds on one page: class averages, counts and curves (no job of RELION; report/index.html)."""

import csv
import dataclasses
import hashlib
import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from winnow2d import runner
from winnow2d.errors import ImageError, JobError, StarError
from winnow2d.formats import mrc
from winnow2d.formats.cells import number_or
from winnow2d.formats.choice_record import NAME as CHOICE
from winnow2d.formats.choice_record import read_choice
from winnow2d.formats.iteration_names import iteration_number, iterations_up_to
from winnow2d.formats.jobs import is_ours, read_job_star
from winnow2d.formats.ledger import read_ledger, write_whole_ledger
from winnow2d.formats.refinement import read_iteration
from winnow2d.formats.second_chance import read_decisions
from winnow2d.formats.star import read_star
from winnow2d.records import Iteration
from winnow2d.report.decisions import override_of
from winnow2d.report.page import Project, render_page
from winnow2d.report.tables import RoundRecord, TruthScore, decided, round_labels, truth_score

SPEC = runner.JobSpec(type="report", is_relion_job=False, directory="report")
UNKNOWN = "not known"
GENERAL = "model_general"
PROPOSAL = "proposal.tsv"  # the class ledger of a round that waits for a person's choice
SOME_ROUNDS = ("warnings", "views", "overrides", "second_chances")
WHOLE_LEDGER = "particles.tsv"
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
    """Return every round from the files the rule names, in order.

    A round is known by the `round_NN` of its class ledger; so is a part of the first one. Where that ledger is
    `proposal.tsv`, the round waits for a person's choice, and has no kept particles and no particle ledger. Named for
    some rounds only: what `SOME_ROUNDS` lists.
    """
    lists = [_paths(inputs, name) for name in ("model", "optimiser", "classes", "class_ledgers")]
    selected = zip(_paths(inputs, "kept"), _paths(inputs, "particle_ledgers"), strict=True)
    some = {name: {_round_of(path): path for path in _paths(inputs, name)} for name in SOME_ROUNDS}
    numbers = [_round_of(path) for path in lists[-1]]
    records = []
    for number, label, (model, optimiser, classes, class_path) in zip(
        numbers, round_labels(numbers), zip(*lists, strict=True), strict=True
    ):
        iteration = read_iteration(optimiser)
        history, (previous, previous_averages) = read_history(model), averages_before(classes)
        record = RoundRecord(
            number=number,
            label=label,
            classification=optimiser.parent.as_posix(),
            selected="",
            n_selected=0,
            iteration=iteration,
            averages=read_stack(classes),
            class_ledger=read_ledger(class_path),
            particle_ledger=pd.DataFrame(),
            history=history,
            previous_number=previous,
            previous_averages=previous_averages,
            facts=round_facts(optimiser, iteration, history),
            is_pending=class_path.name == PROPOSAL,
            is_by_hand=(class_path.parent / CHOICE).is_file() and not read_choice(class_path.parent).is_automatic,
            made_for=hashlib.sha256(classes.read_bytes()).hexdigest(),
        )
        own = {name: paths[number] for name, paths in some.items() if number in paths}
        records.append(with_choice(record, () if record.is_pending else next(selected), own))
    return records


def with_choice(record: RoundRecord, files: Sequence[Path], own: Mapping[str, Path]) -> RoundRecord:
    """Return a round with what its selection left: kept particles and their ledger, and files not every round has."""
    found: dict[str, Any] = {
        name: pd.read_csv(own[name], **_cells(name)) for name in ("warnings", "views") if name in own
    }
    if "overrides" in own and not record.is_pending:
        found["override"] = override_of(yaml.safe_load(own["overrides"].read_text(encoding="utf-8")))
    if files:
        kept, particle_ledger = files
        particles = read_star(kept)["particles"]
        found |= {"selected": kept.as_posix(), "n_selected": len(particles)}
        second = [own["second_chances"]] if "second_chances" in own else []
        found["particle_ledger"] = read_decisions(particle_ledger, second)
        for again in map(read_ledger, second):
            found |= {"n_rejected": len(again), "n_returned": int(again["kept"].sum())}
    return dataclasses.replace(record, **found)


def _cells(name: str) -> dict[str, Any]:
    """Return how the cells of a table are read: warnings as text, whatever quotes are in it."""
    return {
        "sep": "\t",
        "quoting": csv.QUOTE_NONE,
        "keep_default_na": False,
        "dtype": str if name == "warnings" else None,
    }


def _paths(inputs: Any, name: str) -> list[Path]:
    """Return the files of an input; none where the rule does not name it."""
    return [Path(path) for path in _listed(getattr(inputs, name, []))]


def _round_of(path: Path) -> int:
    """Return the round a file is about, from `round_NN` in its path."""
    found = re.search(r"round_(\d+)", path.as_posix())
    if found is None:
        raise JobError(f"{path}: no round_NN is in its path, so it is not known of which round it is.")
    return int(found[1])


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
    name = Path.cwd().name or "project"
    return Project(name, source, sum(map(len, particles)), facts, _final(extracted[-1], rounds), WHOLE_LEDGER)


def _final(extracted: Path, rounds: Sequence[RoundRecord]) -> str:
    """Return where the clean particles are; while a round waits, only those of the round before are there."""
    done, waiting = decided(rounds), [record.label for record in rounds if record.is_pending]
    latest = done[-1].selected if done else extracted.as_posix()
    if waiting:
        return f"not yet: {' and '.join(waiting).lower()} waits for a choice (so far {latest})"
    return f"Select/clean/particles.star ({latest})"


def entered_from(extracted: Path) -> str:
    """Return the file the particles were entered from, as the job that entered them says."""
    job_star = extracted.with_name("job.star")
    if not (job_star.is_file() and is_ours(extracted.parent)):  # else the data file of a classification given
        return extracted.as_posix()
    found = read_job_star(job_star, None).inputs.get("particles", extracted.as_posix())
    return ", ".join(_listed(found))


def read_truth(paths: Sequence[Path], rounds: Sequence[RoundRecord]) -> TruthScore | None:
    """Return the agreement with the truth; None for real particles, and before any choice."""
    if not paths or not decided(rounds):
        return None
    truth, *renamed = [read_star(path)["truth"] for path in paths]
    return truth_score(truth, [record.particle_ledger for record in decided(rounds)], renamed)


def write_page(inputs: Any, page: Path) -> None:
    """Write the page of all rounds."""
    rounds = read_rounds(inputs)
    truth_files = [Path(path) for path in _listed(getattr(inputs, "truth", []))]
    project = describe_project([Path(path) for path in _listed(inputs.extracted)], rounds, bool(truth_files))
    ledgers = [(f"{record.number:02d}", record.particle_ledger) for record in decided(rounds)]
    write_whole_ledger(page.with_name(WHOLE_LEDGER), ledgers)
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
