# Names the job that holds the final particles Select/clean.
#
# REQUIRED INPUTS: the particles.star of the last round.
# OUTPUTS: the alias (a symbolic link) Select/clean. Nothing may declare a path below it: Snakemake would
#          delete the selection behind the link when a round is added.


rule clean:
    """Point the alias Select/clean at the final particles."""
    input:
        particles=PLAN.kept_particles(len(CONFIG.rounds)),
    output:
        alias=directory(CLEAN),
    log:
        "logs/clean/alias.log",
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    script:
        "../scripts/clean_alias.py"
