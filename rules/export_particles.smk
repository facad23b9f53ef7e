# Writes the final particles for other programs (own.export).
#
# REQUIRED INPUTS: the particles.star of the last round, or of the other extraction it was mapped onto.
# OUTPUTS: export/{relion,cryosparc}/particles.star, those that own.export names.


rule export_particles:
    """Write the final particles under the names they came with."""
    input:
        particles=PLAN.final_particles,
        # images that a round made smaller are given back as they came
        entered=PLAN.all_entered if PLAN.boxed and not (CONFIG.micrographs or CONFIG.own.map_to) else [],
    output:
        **PLAN.exported,
    log:
        "logs/export_particles/particles.log",
    localrule: IS_LIGHT
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    script:
        "../scripts/export_particles.py"
