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
from winnow2d.extraction.asked import SIMULATED, rounds_of_other_box
from winnow2d.formats.cells import number_of
from winnow2d.formats.coordinates import is_pattern
from winnow2d.formats.given_job import given_job
from winnow2d.formats.optimiser_star import TABLE
from winnow2d.formats.star import read_star
from winnow2d.option_values import without_result
from winnow2d.options import PROJECT_WIDE, Class2DOptions

try:
    # The repository's own config is the demo; it is never merged under a user's, however empty that is.
    is_users = bool(config or workflow.overwrite_configfiles)
    CONFIG = check_config(config if is_users else load_config(Path(workflow.basedir) / "config.yaml"))
except ConfigError as error:
    raise WorkflowError("The config cannot be used:", *[f"  {problem}" for problem in error.problems]) from None

try:
    # The classification that stands in the place of round 1's; None where that is a job of ours.
    GIVEN = given_job(CONFIG.optimiser) if CONFIG.optimiser else None
except StarError as error:
    problems = [f"  input.optimiser: {problem}" for problem in error.problems]
    raise WorkflowError("The config cannot be used:", *problems) from None

EXTRACTED = "Extract/job001/particles.star"
TRUTH = "Extract/job001/truth.star"  # of simulated particles
PICKED_TRUTH = f"{SIMULATED}/truth.star"  # of simulated micrographs
CLEAN = "Select/clean"
PAGE = "report/index.html"
# Coordinates that are one file; a pattern is no input of a rule.
COORDINATES = [CONFIG.micrographs.coordinates] if CONFIG.micrographs else []
COORDINATES = [path for path in COORDINATES if not is_pattern(path)]
ROUNDS = [f"{item.number:02d}" for item in CONFIG.rounds]
CLASSIFIED = [number for number in ROUNDS if number != "01" or GIVEN is None]
IS_SIMULATED = bool(CONFIG.demo or (CONFIG.micrographs and CONFIG.micrographs.demo))
MICROGRAPHS = CONFIG.micrographs.micrographs if CONFIG.micrographs else CONFIG.own.reextract_micrographs
REEXTRACTED = "Extract/job009/particles.star" if CONFIG.own.reextract else ""
BOXED = rounds_of_other_box(CONFIG)
JOBS = [] if GIVEN else ["Extract/job001"]
JOBS += [f"Extract/job{number:02d}8" for number in BOXED]
JOBS += ["Extract/job009"] if REEXTRACTED else []
JOBS += [f"Class2D/job{number}1" for number in CLASSIFIED]
for item in CONFIG.rounds:
    JOBS.append(f"Select/job{item.number:02d}2")
    JOBS += [f"Select/job{item.number:02d}3"] if item.regroup else []
MAPPED = "Select/job008/particles.star"  # where another extraction is to be mapped to
JOBS += ["Select/job008"] if CONFIG.own.map_to else []
EXPORTED = {
    program: f"export/{program}/particles.star"
    for program in ("relion", "cryosparc")
    if CONFIG.own.export in (program, "all")
}
# Files the config names, with the job that reads them; what a job of ours makes may not be there yet.
NAMED = [("input.particles", path, "Extract/job001") for path in CONFIG.particles]
if CONFIG.micrographs and not CONFIG.micrographs.demo:
    NAMED.append(("input.micrographs", CONFIG.micrographs.micrographs, "Extract/job001"))
    NAMED += [("input.coordinates", path, "Extract/job001") for path in COORDINATES]
if CONFIG.own.map_to and str(Path(CONFIG.own.map_to).parent) not in JOBS:
    NAMED.append(("own.map_to", CONFIG.own.map_to, "Select/job008"))

try:
    runner.check_named(NAMED)
except JobError as error:
    raise WorkflowError("The config cannot be used:", *[f"  {problem}" for problem in error.problems]) from None

try:
    # Snakemake removes declared outputs before a script could refuse what others made in their place.
    simulated = [SIMULATED] if CONFIG.micrographs and CONFIG.micrographs.demo else []
    runner.check_project(JOBS, CLEAN, [PAGE, *EXPORTED.values()], simulated)
except JobError as error:
    raise WorkflowError("The project cannot be used:", *[f"  {problem}" for problem in error.problems]) from None
if GIVEN and Path(GIVEN.data).resolve().parent in {Path(job).resolve() for job in JOBS}:
    raise WorkflowError(
        "The config cannot be used:",
        f"  input.optimiser: {GIVEN.optimiser} lies in a job that a later round is to write; give that of another job, "
        "or fewer rounds",
    )


REGROUPED = [f"{item.number:02d}" for item in CONFIG.rounds if item.regroup]
NONE = "(?!)"


wildcard_constraints:
    # Only rounds of the config: a job of RELION has a number that a further round would have, and may be our input.
    round="|".join(ROUNDS),
    iteration=r"\d\d\d+",


def round_of(wildcards):
    """Return the merged options of the round a job belongs to."""
    return CONFIG.rounds[int(wildcards.round) - 1]


def kept_particles(number):
    """Return the particles.star a round ends with; round 0 is the extraction, or the classification given."""
    if number == 0:
        return GIVEN.data if GIVEN else EXTRACTED
    kind = 3 if CONFIG.rounds[number - 1].regroup else 2
    return f"Select/job{number:02d}{kind}/particles.star"


def final_particles():
    """Return the particles.star that all rounds, and the mapping, end with."""
    return MAPPED if CONFIG.own.map_to else kept_particles(len(CONFIG.rounds))


def map_options():
    """Return the options of the job that maps the kept particles onto another extraction."""
    names = ("stacks_root", "map_tolerance", "map_angpix", "map_poses")
    return {name: getattr(CONFIG.own, name) for name in names}


def particles_entering(wildcards):
    """Return the particles.star a round classifies."""
    number = round_of(wildcards).number
    return f"Extract/job{number:02d}8/particles.star" if number in BOXED else kept_particles(number - 1)


def last_iteration(number, name):
    """Return one of the files the last iteration of a round's classification writes, or of the one given."""
    if GIVEN and number == 1:
        return GIVEN.file(name)
    iteration = CONFIG.rounds[number - 1].class2d.n_iterations
    return f"Class2D/job{number:02d}1/run_it{iteration:03d}_{name}"


def classified(name):
    """Return an input function: that file of the last iteration of the job's own round."""
    return lambda wildcards: last_iteration(round_of(wildcards).number, name)


def of_all_rounds(name):
    """Return that file of the last iteration of every round."""
    return [last_iteration(item.number, name) for item in CONFIG.rounds]


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
    written = [last_iteration(int(number), "optimiser.star") for number in CLASSIFIED]
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


def written_every(wildcards):
    """Return of how many VDAM iterations one is written; 0 for EM, which writes all."""
    item = round_of(wildcards)
    return 0 if item.class2d.do_em else item.own.grad_write_iter


def diameter_of_round(wildcards):
    """Return the mask diameter of a round's classification, in Angstrom."""
    if GIVEN and int(wildcards.round) == 1:
        return GIVEN.particle_diameter_ang
    return round_of(wildcards).class2d.particle_diameter


def selection_own(wildcards):
    """Return the options of ours a choice of classes needs: where to look for the stacks of a classification given."""
    return {"stacks_root": CONFIG.own.stacks_root} if GIVEN and int(wildcards.round) == 1 else {}


def select_options(wildcards):
    """Return the options of a round's choice of classes."""
    return dataclasses.asdict(round_of(wildcards).selection)


def regroup_options(wildcards):
    """Return the options of a round's regrouping."""
    return dataclasses.asdict(round_of(wildcards).regroup)


def own_options(wildcards):
    """Return the options RELION has no field for, as far as they change what a round's classification writes."""
    item = round_of(wildcards)
    unread = {
        *PROJECT_WIDE,
        "auto_box",  # what it chose stands in the particles
        "resolution",
        "preset",  # by now it is in the number of iterations
        *runner.AS_RESOURCES,
        *(["grad_em_iters"] if item.class2d.do_em else []),
    }
    return {name: value for name, value in dataclasses.asdict(item.own).items() if name not in unread}


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
