# Scores the classes of a round and keeps the particles of the good ones, or shows them to whoever is to choose.
#
# REQUIRED INPUTS: the last iteration of the round's classification; of round 1 that of the classification given
#          (input: {optimiser: ...}), whose directory is never written into. Its stacks are linked where the project
#          does not find them by their names. Where a person has said something of the round's classes, that too:
#          overrides/round_{round}.yaml, or the backup_selection.star that own.selected_classes names.
# OUTPUTS: Select/job{round}2/{particles,class_averages,backup_selection,rejected}.star, and the ledger of every
#          decision in report/round_{round}/: classes.tsv and particles.tsv (beside them, not declared, choice.yaml
#          with the rules); warnings.tsv, what the averages say about the settings of the run. Of a round that waits
#          for a choice by hand report/round_{round}/proposal.tsv alone.


rule select_classes:
    """Keep the particles of the classes that score well (RELION job type Select)."""
    input:
        data=classified("data.star"),
        model=classified("model.star"),
        optimiser=classified("optimiser.star"),
        sampling=classified("sampling.star"),
        classes=classified("classes.mrcs"),
        posteriors=posteriors_of_round,
        overrides=said_by_hand,
        selection=selection_file,
        figures=figures_before,
    output:
        particles="Select/job{round}2/particles.star",
        class_averages="Select/job{round}2/class_averages.star",
        backup_selection="Select/job{round}2/backup_selection.star",
        rejected="Select/job{round}2/rejected.star",
        class_ledger="report/round_{round}/classes.tsv",
        particle_ledger="report/round_{round}/particles.tsv",
        warnings="report/round_{round}/warnings.tsv",
        figures="report/round_{round}/figures.tsv",
    log:
        "logs/select_classes/job{round}2.log",
    benchmark:
        "Select/job{round}2/benchmark.tsv"
    localrule: IS_LIGHT
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    params:
        options=select_options,
        particle_diameter=diameter_of_round,
        own=selection_own,
        by_hand=checksum_by_hand,
        stop=stop_options,
    script:
        "../scripts/select_classes.py"


rule propose:
    """Score the classes of a round that a person has yet to choose from; nothing is selected."""
    input:
        data=classified("data.star"),
        model=classified("model.star"),
        optimiser=classified("optimiser.star"),
        classes=classified("classes.mrcs"),
    output:
        proposal="report/round_{round}/proposal.tsv",
    log:
        "logs/propose/round_{round}.log",
    localrule: IS_LIGHT
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    params:
        select=select_options,
        particle_diameter=diameter_of_round,
        own=selection_own,
    script:
        "../scripts/propose.py"
