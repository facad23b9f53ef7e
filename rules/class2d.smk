# Averages the particles of a round into classes.
#
# REQUIRED INPUTS: the particles.star of the round before, or of the extraction; where the round goes on from
#          an optimiser file (class2d.fn_cont), that file and those it names.
# OUTPUTS: the five files of the last iteration in Class2D/job{round}1, as RELION writes them, and the classes
#          that hold most of each particle's posterior (run_itNNN_posteriors.npy). Only these are declared:
#          Snakemake deletes declared files before it runs a job again, and the earlier iterations are what an
#          interrupted job goes on from.


rule class2d:
    """Classify the particles of one round (RELION job type Class2D)."""
    input:
        particles=particles_entering,
        figures=figures_before,
        passed_on=classification_before,
    output:
        data="Class2D/job{round}1/run_it{iteration}_data.star",
        model="Class2D/job{round}1/run_it{iteration}_model.star",
        optimiser="Class2D/job{round}1/run_it{iteration}_optimiser.star",
        sampling="Class2D/job{round}1/run_it{iteration}_sampling.star",
        classes="Class2D/job{round}1/run_it{iteration}_classes.mrcs",
        posteriors="Class2D/job{round}1/run_it{iteration}_posteriors.npy",
    log:
        "logs/class2d/job{round}1_it{iteration}.log",
    benchmark:
        "Class2D/job{round}1/benchmark_it{iteration}.tsv"
    wildcard_constraints:
        round="|".join(PLAN.classified) or NONE,  # the one given is none of ours
    conda:
        "../envs/cpu.yaml"
    threads: 64  # as many as there are: --cores caps it, a profile's set-threads lowers it
    resources:
        mem_mb=class2d_mb,
        runtime=class2d_min,
        gpu=0,  # a profile's set-resources gives one
        tasks_per_gpu=0,  # else older versions of the plugin for Slurm start one copy for every GPU
        # a changed resource runs nothing again: the device changes the last digits of a result, the others none
        device=lambda wildcards: round_of(wildcards).own.device,
        keep_iterations=lambda wildcards: round_of(wildcards).own.keep_iterations,
        grad_write_iter=written_every,
        compute=compute_options,
    params:
        options=class2d_options,
        own=own_options,
        continued=checksum_of_continued,
        stop=stop_options,
    script:
        "../scripts/class2d.py"
