# Classifies what a round rejected once more by itself, and chooses from it (own.second_chance).
#
# REQUIRED INPUTS: the particles that the round's choice of classes rejected; the round's classification; what the
#          choice kept.
# OUTPUTS: the six files of the last iteration in Class2D/job{round}5; Select/job{round}6/particles.star, what the
#          choice kept and what came back, and who came back and why in report/round_{round}/second_chance.tsv, with
#          the classes in second_chance_classes.tsv. Where the rejected particles are too few to be classified by
#          themselves the files of Class2D/job{round}5 are those of the round's classification under these names,
#          nothing comes back, and run.out says so.


rule second_chance:
    """Classify the rejected particles of a round by themselves (RELION job type Class2D)."""
    input:
        particles="Select/job{round}2/rejected.star",
        data=first_of_round("data.star"),
        model=first_of_round("model.star"),
        optimiser=first_of_round("optimiser.star"),
        sampling=first_of_round("sampling.star"),
        classes=first_of_round("classes.mrcs"),
        posteriors=first_of_round("posteriors.npy"),
    output:
        data="Class2D/job{round}5/run_it{iteration}_data.star",
        model="Class2D/job{round}5/run_it{iteration}_model.star",
        optimiser="Class2D/job{round}5/run_it{iteration}_optimiser.star",
        sampling="Class2D/job{round}5/run_it{iteration}_sampling.star",
        classes="Class2D/job{round}5/run_it{iteration}_classes.mrcs",
        posteriors="Class2D/job{round}5/run_it{iteration}_posteriors.npy",
    log:
        "logs/second_chance/job{round}5_it{iteration}.log",
    benchmark:
        "Class2D/job{round}5/benchmark_it{iteration}.tsv"
    wildcard_constraints:
        round="|".join(PLAN.second_chances) or NONE,
    conda:
        "../envs/cpu.yaml"
    threads: 64  # as many as there are: --cores caps it, a profile's set-threads lowers it
    resources:
        mem_mb=class2d_mb,
        runtime=class2d_min,
        gpu=0,  # a profile's set-resources gives one
        tasks_per_gpu=0,  # else older versions of the plugin for Slurm start one copy for every GPU
        device=lambda wildcards: round_of(wildcards).own.device,
        keep_iterations=lambda wildcards: round_of(wildcards).own.keep_iterations,
        grad_write_iter=written_every,
        compute=compute_options,
    params:
        options=lambda wildcards: class2d_options(wildcards) | {"fn_cont": ""},
        own=own_options,
    script:
        "../scripts/second_chance.py"


rule choose_second_chance:
    """Bring back the particles of good classes of rejected ones (RELION job type Select)."""
    input:
        kept="Select/job{round}2/particles.star",
        rejected="Select/job{round}2/rejected.star",
        round_data=classified("data.star"),
        data=again("data.star"),
        model=again("model.star"),
        optimiser=again("optimiser.star"),
        sampling=again("sampling.star"),
        classes=again("classes.mrcs"),
        posteriors=again("posteriors.npy"),
    output:
        particles="Select/job{round}6/particles.star",
        particle_ledger="report/round_{round}/second_chance.tsv",
        class_ledger="report/round_{round}/second_chance_classes.tsv",
    log:
        "logs/choose_second_chance/job{round}6.log",
    benchmark:
        "Select/job{round}6/benchmark.tsv"
    wildcard_constraints:
        round="|".join(PLAN.second_chances) or NONE,
    localrule: IS_LIGHT
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=table_mb,
        runtime=table_min,
    params:
        options=choice_of_second_chance,
        own=lambda wildcards: {"particle_filter": round_of(wildcards).own.particle_filter},
        particle_diameter=diameter_of_round,
        round_number=lambda wildcards: round_of(wildcards).number,
    script:
        "../scripts/choose_second_chance.py"
