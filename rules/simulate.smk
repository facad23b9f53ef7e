# Makes a particle set with known truth and enters it as Extract/job001, like a real one.
#
# REQUIRED INPUTS: none, or the map and the micrographs STAR file named under input: {demo: ...}.
# OUTPUTS: Extract/job001/particles.star and, row by row, what each particle is: Extract/job001/truth.star.
#          The stacks lie beside them.


rule simulate:
    """Simulate particles, good and junk (RELION job type Extract)."""
    input:
        map=[CONFIG.demo.map] if CONFIG.demo.map else [],
        micrographs=[CONFIG.demo.micrographs_star] if CONFIG.demo.micrographs_star else [],
    output:
        particles=PLAN.entered(),
        truth=PLAN.truth,
    log:
        "logs/simulate/job001.log",
    benchmark:
        "Extract/job001/benchmark.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    params:
        options=dataclasses.asdict(CONFIG.extract),
        demo=dataclasses.asdict(CONFIG.demo),
    script:
        "../scripts/simulate.py"
