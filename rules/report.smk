# Tells all rounds in figures.
#
# REQUIRED INPUTS: the particles that entered, the last iteration of each round, its ledgers and its kept
#                  particles; for the demo the truth. The last iteration but one is read where it is kept.
# OUTPUTS: report/index.html, one self-contained page.


rule report:
    """Write the page with the class averages, counts and curves of every round."""
    input:
        extracted=kept_particles(0),
        data=of_all_rounds("data.star"),
        model=of_all_rounds("model.star"),
        optimiser=of_all_rounds("optimiser.star"),
        classes=of_all_rounds("classes.mrcs"),
        kept=[kept_particles(item.number) for item in CONFIG.rounds],
        class_ledgers=expand("report/round_{round}/classes.tsv", round=ROUNDS),
        particle_ledgers=expand("report/round_{round}/particles.tsv", round=ROUNDS),
        truth=[TRUTH, *[f"Extract/job{number:02d}8/truth.star" for number in BOXED]] if IS_SIMULATED else [],
    output:
        page=report(
            PAGE,
            caption="captions/page.rst",
            category="2D classification",
            labels={"page": "all rounds"},
        ),
    log:
        "logs/report/page.log",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=4000,
    script:
        "../scripts/report.py"
