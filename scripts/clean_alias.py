"""Call the job that holds the final particles Select/clean, as RELION gives a job an alias."""

import sys
from pathlib import Path

from winnow2d.errors import WinnowError
from winnow2d.formats.jobs import split_job_name
from winnow2d.formats.project import alias


def point_alias(particles: str, name: str) -> None:
    """Make `name` the alias of the job that a particles STAR file lies in.

    Raises
    ------
    WinnowError
        If the file lies in no job's directory, or the alias cannot be made.
    """
    job = split_job_name(particles)
    if job is None:
        raise WinnowError(f"{particles}: it lies in no job's directory, so {name} cannot stand for one")
    alias(Path(), job[2], name)


if __name__ == "__main__":
    rule = globals().get("snakemake")
    wanted = (rule.input.particles, rule.output[0]) if rule else tuple(sys.argv[1:3])
    try:
        if len(wanted) != 2:
            raise WinnowError("expected: python scripts/clean_alias.py Select/job012/particles.star Select/clean")
        point_alias(*wanted)
    except WinnowError as error:
        sys.exit("\n".join(f"ERROR: {problem}" for problem in error.problems))
