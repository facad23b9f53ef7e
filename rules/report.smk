# Tells all rounds in figures.
#
# REQUIRED INPUTS: the particles that entered, the last iteration of each round, its ledgers and its kept
#                  particles; of a round that waits for a choice by hand the proposal; what a person said of classes,
#                  where there is a file of it; for the demo the truth.
#                  The last iteration but one is read where it is kept.
# OUTPUTS: report/index.html, one self-contained page.


rule report:
    """Write the page with the class averages, counts and curves of every round."""
    input:
        extracted=PLAN.all_entered,
        data=PLAN.of_all_blocks("data.star"),
        model=PLAN.of_all_blocks("model.star"),
        optimiser=PLAN.of_all_blocks("optimiser.star"),
        classes=PLAN.of_all_blocks("classes.mrcs"),
        kept=[PLAN.selected(block) for block in PLAN.decided],
        # of a round that waits for a choice by hand the proposal
        class_ledgers=[PLAN.class_ledger(block) for block in PLAN.shown],
        particle_ledgers=expand("report/round_{round}/particles.tsv", round=[block.name for block in PLAN.decided]),
        second_chances=expand("report/round_{round}/second_chance.tsv", round=PLAN.second_chances),
        warnings=expand("report/round_{round}/warnings.tsv", round=[block.name for block in PLAN.decided]),
        overrides=[path for block in PLAN.decided for path in PLAN.overrides(block)],
        truth=PLAN.truths,
    output:
        page=report(
            PAGE,
            caption="captions/page.rst",
            category="2D classification",
            labels={"page": "all rounds"},
        ),
    log:
        "logs/report/page.log",
    localrule: IS_LIGHT
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    script:
        "../scripts/report.py"
