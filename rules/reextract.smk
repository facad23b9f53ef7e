# Gives a round images of another box (own.auto_box), and extracts what survived whole in the end (own.reextract).
#
# REQUIRED INPUTS: the particles of the round before or of the last one; the micrographs STAR file, or for
#                  ready particles their own stacks, as they were entered.
# OUTPUTS: Extract/job{round}8/particles.star for a round of another box, Extract/job009/particles.star in the
#          end. The stacks beside them are not declared: an interrupted job goes on from those it has.


rule other_box:
    """Extract the particles of a round again in the box it asks for (RELION job type Extract)."""
    input:
        unpack(sources_of_box),
    output:
        particles="Extract/job{round}8/particles.star",
        truth=["Extract/job{round}8/truth.star"] if PLAN.is_simulated else [],
    log:
        "logs/other_box/job{round}8.log",
    benchmark:
        "Extract/job{round}8/benchmark.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 16  # --cores caps it, a profile's set-threads lowers it
    resources:
        mem_mb=micrographs_mb,
        runtime=table_min,
    params:
        options=dataclasses.asdict(CONFIG.extract),
        own=lambda wildcards: extraction_own(round_of(wildcards)),
        particle_diameter=lambda wildcards: round_of(wildcards).class2d.particle_diameter,
        box_from="mask",
        is_final=False,
    script:
        "../scripts/reextract.py" if CONFIG.micrographs else "../scripts/downsample.py"


if CONFIG.own.reextract:

    rule reextract:
        """Extract the particles that survived whole and re-centred (RELION job type Extract)."""
        input:
            unpack(sources_of_reextraction),
        output:
            particles=REEXTRACTED,
        log:
            "logs/reextract/job009.log",
        benchmark:
            "Extract/job009/benchmark.tsv"
        conda:
            "../envs/cpu.yaml"
        threads: 16  # --cores caps it, a profile's set-threads lowers it
        resources:
            mem_mb=micrographs_mb,
            runtime=table_min,
        params:
            options=dataclasses.asdict(CONFIG.extract),
            own=extraction_own(CONFIG.rounds[-1]) | {"reextract_size": CONFIG.own.reextract_size, "auto_box": False},
            particle_diameter=CONFIG.rounds[-1].class2d.particle_diameter,
            box_from=box_of_reextraction(),
            is_final=True,
        script:
            "../scripts/reextract.py" if PLAN.micrographs else "../scripts/downsample.py"
