# Shared by all rules: the checked config, the options of a round, and which file a round starts from.
#
# Job numbers are computed, never counted: particles enter as Extract/job001, round RR has
# Class2D/job{RR}1, Select/job{RR}2 and, where it regroups, Select/job{RR}3. Adding a round changes none
# of the earlier ones. The working directory is the RELION project.

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from winnow2d import __version__, runner
from winnow2d.config import check_config, load_config
from winnow2d.errors import ConfigError, JobError, StarError
from winnow2d.extraction.asked import SIMULATED
from winnow2d.formats.cells import number_of
from winnow2d.formats.given_job import given_job
from winnow2d.formats.overrides import check_overrides, path_of
from winnow2d.formats.optimiser_star import TABLE
from winnow2d.formats.project import reserve_numbers
from winnow2d.formats.star import read_star
from winnow2d.option_values import without_result
from winnow2d.options import (
    OF_REGROUPING,
    OF_SECOND_CHANCE,
    OF_SELECTION,
    PROJECT_WIDE,
    Class2DOptions,
    OwnOptions,
    SelectOptions,
)
from winnow2d.plan import CLEAN, JOINED, MAPPED, PAGE, PICKED_TRUTH, REEXTRACTED, Plan

try:
    # The repository's own config is the demo; it is never merged under a user's, however empty that is.
    is_users = bool(config or workflow.overwrite_configfiles)
    if not is_users:
        config.update(load_config(Path(workflow.basedir) / "config.yaml"))  # so that each job can record it
    CONFIG = check_config(config)
except ConfigError as error:
    raise WorkflowError("The config cannot be used:", *[f"  {problem}" for problem in error.problems]) from None

try:
    # The classification that stands in the place of round 1's; None where that is a job of ours.
    GIVEN = given_job(CONFIG.optimiser) if CONFIG.optimiser else None
except StarError as error:
    problems = [f"  input.optimiser: {problem}" for problem in error.problems]
    raise WorkflowError("The config cannot be used:", *problems) from None

PLAN = Plan(CONFIG, GIVEN)
# What a person said of classes: a declared input where it is there, so that a round that waits is none of the targets.
PLAN = dataclasses.replace(
    PLAN, overridden=frozenset(block.name for block in PLAN.blocks if Path(path_of(block.name)).is_file())
)
JOBS = PLAN.jobs
NONE = "(?!)"

try:
    # Snakemake removes declared outputs before a script could refuse what others made in their place.
    simulated = [SIMULATED] if CONFIG.micrographs and CONFIG.micrographs.demo else []
    runner.check_project(JOBS, CLEAN, [PAGE, *PLAN.exported.values()], simulated)
except JobError as error:
    raise WorkflowError("The project cannot be used:", *[f"  {problem}" for problem in error.problems]) from None

try:
    runner.check_named(PLAN.named_files)
    check_overrides(PLAN.given_overrides)
except (ConfigError, JobError) as error:
    raise WorkflowError("The config cannot be used:", *[f"  {problem}" for problem in error.problems]) from None

if GIVEN and Path(GIVEN.data).resolve().parent in {Path(job).resolve() for job in JOBS}:
    raise WorkflowError(
        "The config cannot be used:",
        f"  input.optimiser: {GIVEN.optimiser} lies in a job that a later round is to write; give that of another job, "
        "or fewer rounds",
    )


wildcard_constraints:
    # Only blocks of the plan: a job of RELION has a number that a further round would have, and may be our input.
    round="|".join(PLAN.block_named),
    iteration=r"\d\d\d+",
    source="|".join(map(str, range(PLAN.n_sources))),


def block_of(wildcards):
    """Return the block a job belongs to: a round, or a part of the first one."""
    return PLAN.block_named[wildcards.round]


def round_of(wildcards):
    """Return the merged options of the round a job belongs to."""
    return block_of(wildcards).round


def map_options():
    """Return the options of the job that maps the kept particles onto another extraction."""
    names = ("stacks_root", "map_tolerance", "map_angpix", "map_poses")
    return {name: getattr(CONFIG.own, name) for name in names}


def particles_entering(wildcards):
    """Return the particles.star that a job's block classifies."""
    return PLAN.entering(block_of(wildcards))


def classified(name):
    """Return an input function: that file of the last iteration of the job's own block."""
    return lambda wildcards: PLAN.last_iteration(block_of(wildcards), name)


def fault_of_continued(item, path):
    """Return why a round cannot go on from an optimiser file; nothing if it can."""
    if not path.is_file():
        return "does not exist; give the path of a run_itNNN_optimiser.star, relative to the project directory"
    try:
        general = read_star(path)[TABLE]
        done = int(number_of(general, "rlnCurrentIteration", where=str(path)))
    except (StarError, KeyError, OSError, ValueError, OverflowError):
        return f"has no rlnCurrentIteration in a table {TABLE}; give the path of a run_itNNN_optimiser.star"
    total = item.class2d.n_iterations
    if done >= total:
        key = "nr_iter_em" if item.class2d.do_em else "nr_iter_grad"
        return (
            f"is at iteration {done}, and class2d.{key}: {total} counts all iterations, also those already done; "
            f"give more than {done}"
        )
    written = [PLAN.last_iteration(PLAN.block_named[name], "optimiser.star") for name in PLAN.classified]
    written += [PLAN.first_classification(PLAN.block_named[name], "optimiser.star") for name in PLAN.continued]
    written += [PLAN.block_named[name].classified_again("optimiser.star") for name in PLAN.second_chances]
    if path.resolve() in {Path(planned).resolve() for planned in written}:
        return "is what this project itself is to write, and would be removed first; go on from an earlier iteration"
    return ""


def checksums_of_continued():
    """Return round number -> checksum of the optimiser file it goes on from; refuse one it cannot go on from.

    To be asked before anything runs: Snakemake removes declared outputs before a script could refuse. The file is
    no input of the rule: one of our own jobs would be taken for an output of the same rule, and the job would wait
    for itself.
    """
    paths = {item.number: Path(item.class2d.fn_cont) for item in CONFIG.rounds if item.class2d.fn_cont}
    faults = {number: fault_of_continued(CONFIG.rounds[number - 1], path) for number, path in paths.items()}
    problems = [f"class2d.fn_cont: {paths[number]} (round {number}) {text}" for number, text in faults.items() if text]
    if problems:
        raise WorkflowError("The config cannot be used:", *[f"  {problem}" for problem in problems])
    return {number: hashlib.sha256(path.read_bytes()).hexdigest() for number, path in paths.items()}


CONTINUED = checksums_of_continued()


def checksum_of_continued(wildcards):
    """Return the checksum of the optimiser file a round goes on from."""
    return CONTINUED.get(round_of(wildcards).number, "")


def diameter_of_round(wildcards):
    """Return the mask diameter of a round's classification, in Angstrom."""
    if PLAN.is_given(block_of(wildcards)):
        return GIVEN.particle_diameter_ang
    return round_of(wildcards).class2d.particle_diameter


def split_options():
    """Return the options of the job that deals particles into the parts of the first round."""
    relions = {"do_class_ranker": False, "rank_threshold": 0.5}
    return relions | {"do_split": True, "do_random": True, "nr_split": PLAN.n_splits}


def extraction_own(item):
    """Return the options of ours that an extraction for a round reads."""
    names = ("stacks_root", "random_seed", "auto_box", "resolution")
    return {name: getattr(item.own, name) for name in names}


def put_project_right():
    """Mark jobs whose process is gone; a fault here must never hide the fault that brought us here."""
    try:
        runner.mark_dead_jobs()
    except Exception as error:
        print(f"default_pipeline.star was left as it is: {error}", file=sys.stderr)


def begin():
    """Wait for what an earlier start has left running, then mark jobs whose process is gone."""
    runner.wait_for_others(JOBS, lambda sentence: print(sentence, file=sys.stderr, flush=True))
    put_project_right()
    if any(int(Path(job).name[3:]) > 1000 for job in JOBS):
        reserve_numbers(Path(), JOBS)  # RELION must give none of ours to a job of its own meanwhile


def tell_where_the_report_is():
    """Print the one line a user looks for when everything is done, or what to do for the rest to be done."""
    page = Path(PAGE).resolve()
    if page.is_file():
        print(f"Report: {page}", file=sys.stderr)
    tell_of_waiting()


def tell_of_waiting():
    """Say of each round that a person has yet to choose from what is to be done."""
    for block in PLAN.undecided:
        print(
            f"Round {block.name} waits for a choice of classes by hand (select: {{do_class_ranker: No}}). Look at the "
            f"report, write the classes to keep into {Path(path_of(block.name)).resolve()}, e.g.\n"
            f"  round: {int(block.name)}\n  by: your name\n  keep: [1, 2]\n"
            "or say own: {selected_classes: ...} in the entry of that round; then start again with the same command: "
            "the run goes on from here.",
            file=sys.stderr,
        )


def withdraw_alias():
    """Remove the alias of the final particles while a round before them is yet to be chosen from."""
    if PLAN.undecided and Path(CLEAN).is_symlink():
        Path(CLEAN).unlink()
        print(f"{CLEAN} was that of an earlier choice and is removed until all classes are chosen.", file=sys.stderr)


def tell_of_other_versions():
    """Print one line if finished jobs were made by another version: Snakemake itself does not run them again."""
    others = {}
    for job in JOBS:
        try:
            made_by = json.loads((Path(job) / "provenance.json").read_text(encoding="utf-8"))["version"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not run yet
        if made_by != __version__:
            others.setdefault(made_by, []).append(job)
    for made_by, jobs in others.items():
        print(
            f"{', '.join(jobs)}: made by Winnow {made_by}, this is {__version__}. "
            "To make them again add --forceall to the command.",
            file=sys.stderr,
        )


tell_of_other_versions()
if workflow.is_main_process and all(Path(PLAN.class_ledger(block)).is_file() for block in PLAN.undecided):
    tell_of_waiting()  # where nothing is left to be done Snakemake asks no handler
