# Enters extracted particles in the project, each file as an Extract job.
#
# REQUIRED INPUTS: a particles STAR file named under input: {particles: ...}; its stacks are linked, never
#                  copied, and all its columns pass through. Or a .cs file of cryoSPARC, which is converted.
# OUTPUTS: Extract/job001/particles.star; of further files Extract/job101, job201 and so on


rule extract:
    """Check particles and enter them in the project (RELION job type Extract)."""
    input:
        particles=lambda wildcards: CONFIG.particles[int(wildcards.source)],
        passthrough=[CONFIG.own.passthrough] if CONFIG.own.passthrough else [],
    output:
        particles="Extract/job{source}01/particles.star",
    log:
        "logs/extract/job{source}01.log",
    benchmark:
        "Extract/job{source}01/benchmark.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    params:
        options=dataclasses.asdict(CONFIG.extract),
        own={"stacks_root": CONFIG.own.stacks_root},
        do_ctf_correction=any(item.class2d.do_ctf_correction for item in CONFIG.rounds),
    script:
        "../scripts/extract.py"
