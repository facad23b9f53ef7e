# What the rules of class2d.smk, continue_class2d.smk and second_chance.smk ask for.


def figures_before(wildcards):
    """Return what the rounds before came to, where further ones may be passed on (own.stop_share), newest first."""
    return [PLAN.figures(block) for block in PLAN.may_stop_after(block_of(wildcards))]


def classification_before(wildcards):
    """Return the classification of the round before, where that may be passed on."""
    return [PLAN.last_iteration(block, "optimiser.star") for block in PLAN.may_stop_after(block_of(wildcards))[:1]]


def stop_options(wildcards):
    """Return when a block is passed on; nothing where it never is."""
    if not PLAN.may_stop_after(block_of(wildcards)):
        return {}
    return {"stop_share": CONFIG.own.stop_share, "stop_unimproved": CONFIG.own.stop_unimproved}


def class2d_options(wildcards):
    """Return the options of a round's classification, as far as they may change a result."""
    values = dataclasses.asdict(round_of(wildcards).class2d)
    return {name: value for name, value in values.items() if name not in without_result(Class2DOptions)}


def first_classification(wildcards):
    """Return the files of the classification that a job goes on with, by name."""
    names = {"continued": "optimiser.star", "model": "model.star", "sampling": "sampling.star", "data": "data.star"}
    return {name: PLAN.first_classification(block_of(wildcards), file) for name, file in names.items()}


def continued_options(wildcards):
    """Return the options of the job that goes on with a round's classification."""
    item, options = round_of(wildcards), class2d_options(wildcards)
    total = {"nr_iter_em" if item.class2d.do_em else "nr_iter_grad": item.own.continue_to}
    return options | total | {"fn_cont": PLAN.first_classification(block_of(wildcards), "optimiser.star")}


def compute_options(wildcards):
    """Return, as JSON, the options of a round's classification that change no result, where they were set."""
    values = dataclasses.asdict(round_of(wildcards).class2d)
    default = Class2DOptions()
    names = [name for name in without_result(Class2DOptions) if values[name] != getattr(default, name)]
    return json.dumps({name: values[name] for name in names})


def written_every(wildcards):
    """Return of how many VDAM iterations one is written; 0 for EM, which writes all."""
    item = round_of(wildcards)
    return 0 if item.class2d.do_em else item.own.grad_write_iter


def own_options(wildcards):
    """Return the options RELION has no field for, as far as they change what a round's classification writes."""
    item = round_of(wildcards)
    unread = {
        *PROJECT_WIDE,
        *OF_SELECTION,
        *OF_SECOND_CHANCE,
        *OF_REGROUPING,
        "auto_box",  # what it chose stands in the particles
        "resolution",
        "preset",  # by now it is in the number of iterations
        "continue_to",
        *runner.AS_RESOURCES,
        *(["grad_em_iters"] if item.class2d.do_em else []),
    }
    return {name: value for name, value in dataclasses.asdict(item.own).items() if name not in unread}
