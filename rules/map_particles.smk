# Gives the final particles their rows of another extraction (own.map_to).
#
# REQUIRED INPUTS: the particles.star of the last round, and that of the other extraction: another box, another
#                  pixel size or another program, but the same micrographs.
# OUTPUTS: Select/job008/particles.star. Kept particles without a partner stand in unmatched.star beside it; it is
#          not declared, as there is none where all have one.


rule map_particles:
    """Map the kept particles onto another extraction (RELION job type Select)."""
    input:
        particles=PLAN.kept_particles(len(CONFIG.rounds)),
        extraction=CONFIG.own.map_to,
    output:
        particles=MAPPED,
    log:
        "logs/map_particles/job008.log",
    benchmark:
        "Select/job008/benchmark.tsv"
    localrule: IS_LIGHT
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    params:
        options={"do_class_ranker": False, "rank_threshold": 0.5},
        own=map_options(),
    script:
        "../scripts/map_particles.py"
