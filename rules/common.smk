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
from winnow2d.errors import ConfigError, JobError
from winnow2d.option_values import without_result
from winnow2d.options import Class2DOptions

try:
    # The repository's own config is the demo; it is never merged under a user's, however empty that is.
    is_users = bool(config or workflow.overwrite_configfiles)
    CONFIG = check_config(config if is_users else load_config(Path(workflow.basedir) / "config.yaml"))
except ConfigError as error:
    raise WorkflowError("The config cannot be used:", *[f"  {problem}" for problem in error.problems]) from None

EXTRACTED = "Extract/job001/particles.star"
CLEAN = "Select/clean"
PAGE = "report/index.html"
ROUNDS = [f"{item.number:02d}" for item in CONFIG.rounds]
JOBS = ["Extract/job001"]
for item in CONFIG.rounds:
    JOBS += [f"Class2D/job{item.number:02d}1", f"Select/job{item.number:02d}2"]
    JOBS += [f"Select/job{item.number:02d}3"] if item.regroup else []

try:
    # Snakemake removes declared outputs before a script could refuse what others made in their place.
    runner.check_project(JOBS, CLEAN, PAGE)
except JobError as error:
    raise WorkflowError("The project cannot be used:", *[f"  {problem}" for problem in error.problems]) from None


wildcard_constraints:
    round=r"\d{2}",
    iteration=r"\d{3}",


def round_of(wildcards):
    """Return the merged options of the round a job belongs to."""
    number = int(wildcards.round)
    if not 1 <= number <= len(CONFIG.rounds):
        raise WorkflowError(f"Round {number} is not in the config, which lists {len(CONFIG.rounds)}.")
    return CONFIG.rounds[number - 1]


def kept_particles(number):
    """Return the particles.star a round ends with; round 0 is the extraction."""
    if number == 0:
        return EXTRACTED
    kind = 3 if CONFIG.rounds[number - 1].regroup else 2
    return f"Select/job{number:02d}{kind}/particles.star"


def particles_entering(wildcards):
    """Return the particles.star a round classifies."""
    return kept_particles(round_of(wildcards).number - 1)


def last_iteration(number, name):
    """Return one of the files the last iteration of a round's classification writes."""
    iteration = CONFIG.rounds[number - 1].class2d.n_iterations
    return f"Class2D/job{number:02d}1/run_it{iteration:03d}_{name}"


def classified(name):
    """Return an input function: that file of the last iteration of the job's own round."""
    return lambda wildcards: last_iteration(round_of(wildcards).number, name)


def of_all_rounds(name):
    """Return that file of the last iteration of every round."""
    return [last_iteration(item.number, name) for item in CONFIG.rounds]


def check_continuations():
    """Refuse, before anything runs, to go on from an optimiser file that is not there."""
    problems = [
        f"class2d.fn_cont: {item.class2d.fn_cont} does not exist (round {item.number}); give the path of a "
        "run_itNNN_optimiser.star, relative to the project directory"
        for item in CONFIG.rounds
        if item.class2d.fn_cont and not Path(item.class2d.fn_cont).is_file()
    ]
    if problems:
        raise WorkflowError("The config cannot be used:", *[f"  {problem}" for problem in problems])


check_continuations()


def checksum_of_continued(wildcards):
    """Return the checksum of the optimiser file a round goes on from.

    It is no input of the rule: a file of one of our own jobs would be taken for an output of the same rule, and
    the job would wait for itself.
    """
    path = round_of(wildcards).class2d.fn_cont
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""


def class2d_options(wildcards):
    """Return the options of a round's classification, as far as they may change a result."""
    values = dataclasses.asdict(round_of(wildcards).class2d)
    return {name: value for name, value in values.items() if name not in without_result(Class2DOptions)}


def compute_options(wildcards):
    """Return, as JSON, the options of a round's classification that change no result, where they were set."""
    values = dataclasses.asdict(round_of(wildcards).class2d)
    default = Class2DOptions()
    names = [name for name in without_result(Class2DOptions) if values[name] != getattr(default, name)]
    return json.dumps({name: values[name] for name in names})


def diameter_of_round(wildcards):
    """Return the mask diameter of a round, in Angstrom."""
    return round_of(wildcards).class2d.particle_diameter


def select_options(wildcards):
    """Return the options of a round's choice of classes."""
    return dataclasses.asdict(round_of(wildcards).selection)


def regroup_options(wildcards):
    """Return the options of a round's regrouping."""
    options = round_of(wildcards).regroup
    if options is None:
        raise WorkflowError(f"Round {int(wildcards.round)} does not regroup: set select: {{do_regroup: true}}.")
    return dataclasses.asdict(options)


def own_options(wildcards):
    """Return the options RELION has no field for, as far as they change what a round's classification writes."""
    item = round_of(wildcards)
    unread = {
        "stacks_root",
        "preset",  # by now it is in the number of iterations
        *runner.AS_RESOURCES,
        *(["grad_write_iter", "grad_em_iters"] if item.class2d.do_em else []),
    }
    return {name: value for name, value in dataclasses.asdict(item.own).items() if name not in unread}


def put_project_right():
    """Mark jobs whose process is gone; a fault here must never hide the fault that brought us here."""
    try:
        runner.mark_dead_jobs()
    except Exception as error:
        print(f"default_pipeline.star was left as it is: {error}", file=sys.stderr)


def tell_where_the_report_is():
    """Print the one line a user looks for when everything is done."""
    page = Path(PAGE).resolve()
    if page.is_file():
        print(f"Report: {page}", file=sys.stderr)


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
