# Goes on with the classification of a round that has not converged (own.continue_to).
#
# REQUIRED INPUTS: the last iteration of the round's classification, and the particles it was made from.
# OUTPUTS: the six files of the last iteration in Class2D/job{round}4. Where the classification has converged they
#          are those of Class2D/job{round}1 under these names, and run.out says so.


rule continue_class2d:
    """Go on with the classification of a round, unless it has converged (RELION job type Class2D)."""
    input:
        unpack(first_classification),
        particles=particles_entering,
        figures=figures_before,
    output:
        data="Class2D/job{round}4/run_it{iteration}_data.star",
        model="Class2D/job{round}4/run_it{iteration}_model.star",
        optimiser="Class2D/job{round}4/run_it{iteration}_optimiser.star",
        sampling="Class2D/job{round}4/run_it{iteration}_sampling.star",
        classes="Class2D/job{round}4/run_it{iteration}_classes.mrcs",
        posteriors="Class2D/job{round}4/run_it{iteration}_posteriors.npy",
    log:
        "logs/continue_class2d/job{round}4_it{iteration}.log",
    benchmark:
        "Class2D/job{round}4/benchmark_it{iteration}.tsv"
    wildcard_constraints:
        round="|".join(PLAN.continued) or NONE,
    conda:
        "../envs/cpu.yaml"
    threads: 64  # as many as there are: --cores caps it, a profile's set-threads lowers it
    resources:
        mem_mb=class2d_mb,
        runtime=class2d_min,
        gpu=0,  # a profile's set-resources gives one
        tasks_per_gpu=0,
        device=lambda wildcards: round_of(wildcards).own.device,
        keep_iterations=lambda wildcards: round_of(wildcards).own.keep_iterations,
        grad_write_iter=written_every,
        compute=compute_options,
    params:
        options=continued_options,
        own=own_options,
        stop=stop_options,
    script:
        "../scripts/continue_class2d.py"
