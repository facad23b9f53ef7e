"""Enter the user's particles in the project, checked and linked (RELION job type Extract)."""

from pathlib import Path

from winnow2d import runner
from winnow2d.config import check_config
from winnow2d.errors import StarError
from winnow2d.intake.enter import enter_particles
from winnow2d.intake.rounds import planned
from winnow2d.plan import Plan

SPEC = runner.JobSpec(type="Extract", nodes={"particles": "particles"}, required_inputs=("particles",))


def plan_of_run() -> Plan | None:
    """Return what the config plans: no params of the rule, or a changed round would enter the particles again."""
    rule = globals().get("snakemake")
    return Plan(check_config(rule.config)) if rule and rule.config else None


def listed(paths: Path | list[Path]) -> list[Path]:
    """Return one path or many as a list: Snakemake hands one file by itself."""
    return paths if isinstance(paths, list) else [paths]


with runner.job(globals(), SPEC) as job:
    sources = listed(job.inputs.particles)
    if len(sources) != 1:
        raise StarError(
            f"{len(sources)} particle files given, and each is entered by a job of its own. Name one here, or all of "
            "them under input: {particles: [...]} of a config."
        )
    plan = plan_of_run()
    enter_particles(
        source=Path(sources[0]),
        project=Path(),
        job_directory=job.directory.as_posix(),
        stacks_root=job.own.stacks_root,
        do_ctf_correction=getattr(job.params, "do_ctf_correction", True),
        rounds=planned(plan.config.rounds) if plan else (),
        planned_jobs=plan.jobs if plan else (),
        passthrough=", ".join(str(path) for path in listed(getattr(job.inputs, "passthrough", []))),
    )
