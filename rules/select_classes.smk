# Scores the classes of a round and keeps the particles of the good ones.
#
# REQUIRED INPUTS: the last iteration of the round's classification; of round 1 that of the classification given
#          (input: {optimiser: ...}), whose directory is never written into. Its stacks are linked where the project
#          does not find them by their names.
# OUTPUTS: Select/job{round}2/{particles,class_averages,backup_selection}.star, and the ledger of every
#          decision in report/round_{round}/: classes.tsv and particles.tsv; warnings.tsv, what the averages say
#          about the settings of the run.


rule select_classes:
    """Keep the particles of the classes that score well (RELION job type Select)."""
    input:
        data=classified("data.star"),
        model=classified("model.star"),
        optimiser=classified("optimiser.star"),
        sampling=classified("sampling.star"),
        classes=classified("classes.mrcs"),
    output:
        particles="Select/job{round}2/particles.star",
        class_averages="Select/job{round}2/class_averages.star",
        backup_selection="Select/job{round}2/backup_selection.star",
        class_ledger="report/round_{round}/classes.tsv",
        particle_ledger="report/round_{round}/particles.tsv",
        warnings="report/round_{round}/warnings.tsv",
    log:
        "logs/select_classes/job{round}2.log",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=4000,
    params:
        options=select_options,
        particle_diameter=diameter_of_round,
        own=selection_own,
    script:
        "../scripts/select_classes.py"
