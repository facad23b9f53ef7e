# Deals the particles of a file into parts that the first round classifies apart (own.splits).
#
# REQUIRED INPUTS: the particles of one input file, as they entered.
# OUTPUTS: Select/job010/particles_split1.star and so on; of further input files Select/job110, job210 ...


rule split:
    """Deal particles into parts of one size, every micrograph in each (RELION job type Select)."""
    input:
        particles="Extract/job{source}01/particles.star",
    output:
        parts=expand("Select/job{{source}}10/particles_split{part}.star", part=range(1, PLAN.n_splits + 1)),
    log:
        "logs/split/job{source}10.log",
    benchmark:
        "Select/job{source}10/benchmark.tsv"
    localrule: IS_LIGHT
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    params:
        options=split_options(),
        own={"random_seed": CONFIG.own.random_seed},
    script:
        "../scripts/split.py"
