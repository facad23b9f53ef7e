# Cuts particles from micrographs, as RELION's Extract job does; where the input is simulated, makes that first.
#
# REQUIRED INPUTS: the micrographs STAR file and the coordinates named under input: {micrographs: ...,
#                  coordinates: ...}; a pattern of coordinate files is no input of the rule, so after a change of
#                  those add --forcerun extract_micrographs.
# OUTPUTS: Extract/job001/particles.star. Beside it, not declared: a stack and an _extract.star per micrograph,
#          which an interrupted job goes on from, and left_out_micrographs.tsv.


if CONFIG.micrographs.demo:

    rule simulate_micrographs:
        """Simulate micrographs and what a picker finds on them, false picks included."""
        input:
            map=[CONFIG.micrographs.demo.map] if CONFIG.micrographs.demo.map else [],
            micrographs_star=(
                [CONFIG.micrographs.demo.micrographs_star] if CONFIG.micrographs.demo.micrographs_star else []
            ),
        output:
            micrographs=CONFIG.micrographs.micrographs,
            coordinates=CONFIG.micrographs.coordinates,
            truth=PICKED_TRUTH,
        log:
            "logs/simulate_micrographs/micrographs.log",
        conda:
            "../envs/cpu.yaml"
        resources:
            mem_mb=table_mb,
            runtime=table_min,
        params:
            demo=dataclasses.asdict(CONFIG.micrographs.demo),
        script:
            "../scripts/simulate_micrographs.py"


rule extract_micrographs:
    """Cut particles from micrographs (RELION job type Extract)."""
    input:
        micrographs=CONFIG.micrographs.micrographs,
        coordinates=PLAN.coordinates,
        picked_truth=[PICKED_TRUTH] if CONFIG.micrographs.demo else [],
    output:
        particles=PLAN.entered(),
        truth=[PLAN.truth] if CONFIG.micrographs.demo else [],
    log:
        "logs/extract_micrographs/job001.log",
    benchmark:
        "Extract/job001/benchmark.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 16  # micrographs at a time: --cores caps it, a profile's set-threads lowers it
    resources:
        mem_mb=micrographs_mb,
        runtime=table_min,
    params:
        options=dataclasses.asdict(CONFIG.extract),
        own=extraction_own(CONFIG.rounds[0]),
        coordinates=CONFIG.micrographs.coordinates,
        do_ctf_correction=any(item.class2d.do_ctf_correction for item in CONFIG.rounds),
        particle_diameter=CONFIG.rounds[0].class2d.particle_diameter if CONFIG.rounds[0].own.auto_box else 0.0,
    script:
        "../scripts/extract_micrographs.py"
