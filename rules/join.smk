# Joins what the parts of a first round end with (own.splits, or several files under input: {particles: ...}).
#
# REQUIRED INPUTS: the kept particles of every part of the first round.
# OUTPUTS: JoinStar/job017/join_particles.star, with which the second round starts.


rule join:
    """Join the kept particles of all parts of the first round (RELION job type JoinStar)."""
    input:
        particles=PLAN.selected_of_parts(),
    output:
        particles=JOINED,
    log:
        "logs/join/job017.log",
    benchmark:
        "JoinStar/job017/benchmark.tsv"
    localrule: IS_LIGHT
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    params:
        options={"do_part": True},
        parts_per_file=PLAN.n_splits,
        are_regrouped=bool(CONFIG.rounds[0].regroup),
    script:
        "../scripts/join.py"
