# Regroups the kept particles of a round by the intensity of their micrographs.
#
# REQUIRED INPUTS: the round's kept particles, and the model with the scale of each intensity group.
# OUTPUTS: Select/job{round}3/particles.star, with which the next round starts. Rounds without
#          select: {do_regroup: true} have no such job; RELION's class ranker refuses to do both at once.


rule regroup:
    """Put the kept particles in intensity groups of enough size (RELION job type Select)."""
    input:
        particles=lambda wildcards: block_of(wildcards).chosen,
        data=classified("data.star"),
        model=classified("model.star"),
        optimiser=classified("optimiser.star"),
        figures=figures_before,
    output:
        particles="Select/job{round}3/particles.star",
    log:
        "logs/regroup/job{round}3.log",
    benchmark:
        "Select/job{round}3/benchmark.tsv"
    wildcard_constraints:
        round="|".join(PLAN.regrouped) or NONE,
    localrule: IS_LIGHT
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    params:
        options=regroup_options,
        stop=stop_options,
        own=regroup_own,
    script:
        "../scripts/regroup.py"
