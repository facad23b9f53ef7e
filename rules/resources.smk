# Memory and time of every job, for a queue: from the number of its particles, more with every attempt.
#
# A changed resource runs nothing again. Retries are a profile's: those of a rule would be made inside of the queue's
# job as well, with the memory and the time that it has.

from winnow2d import demands

# Rules that take seconds run where Snakemake runs, and in the queue only where there are very many particles.
IS_LIGHT = demands.expected_particles(PLAN) <= demands.LIGHT


def particles_of(wildcards):
    """Return how many particles a job has: those of its block, or of the whole run."""
    return demands.expected_particles(PLAN, block_of(wildcards) if "round" in wildcards.keys() else None)


def table_mb(wildcards, attempt):
    """Return the memory of a job that reads tables of particles, in MB."""
    return demands.table_mb(particles_of(wildcards), attempt)


def table_min(wildcards, attempt):
    """Return the time of a job that reads and writes particles, in minutes."""
    return demands.table_min(particles_of(wildcards), attempt)


def micrographs_mb(wildcards, threads, attempt):
    """Return the memory of an extraction, in MB."""
    return demands.micrographs_mb(threads, particles_of(wildcards), attempt)


def class2d_mb(wildcards, threads, attempt):
    """Return the memory of a classification, in MB."""
    return demands.class2d_mb(round_of(wildcards), particles_of(wildcards), threads, attempt)


def class2d_min(wildcards, threads, attempt):
    """Return the time of a classification, in minutes."""
    return demands.class2d_min(round_of(wildcards), particles_of(wildcards), threads, attempt)
