# What the rules of select_classes.smk, second_chance.smk and regroup.smk ask for: options, and what a person said of classes.


def selection_own(wildcards):
    """Return the options of ours a choice of classes needs; those at their default change nothing by being there."""
    own, default = round_of(wildcards).own, OwnOptions()
    said = {name: getattr(own, name) for name in OF_SELECTION if getattr(own, name) != getattr(default, name)}
    return said | ({"stacks_root": own.stacks_root} if PLAN.is_given(block_of(wildcards)) else {})


def posteriors_of_round(wildcards):
    """Return the file with the classes of largest posterior; a classification that is given may have none."""
    block = block_of(wildcards)
    return [] if PLAN.is_given(block) else [PLAN.last_iteration(block, "posteriors.npy")]


def said_by_hand(wildcards):
    """Return the file with what a person said of a block's classes, where there is one."""
    return PLAN.overrides(block_of(wildcards))


def selection_file(wildcards):
    """Return the file of RELION's display that chooses a block's classes, where the config names one."""
    return PLAN.selection_file(block_of(wildcards))


def checksum_by_hand(wildcards):
    """Return the checksum of what a person said of a block's classes; its time may be that of a copy."""
    paths = [Path(path) for path in (*said_by_hand(wildcards), *selection_file(wildcards))]
    content = b"".join(path.read_bytes() for path in paths if path.is_file())
    return hashlib.sha256(content).hexdigest() if content else ""


def select_options(wildcards):
    """Return the options of a round's choice of classes."""
    return dataclasses.asdict(round_of(wildcards).selection)


def regroup_options(wildcards):
    """Return the options of a round's regrouping."""
    return dataclasses.asdict(round_of(wildcards).regroup)


def regroup_own(wildcards):
    """Return the options of ours that a round's regrouping reads."""
    return {name: getattr(round_of(wildcards).own, name) for name in OF_REGROUPING}


def again(name):
    """Return an input function: that file of the second classification of a block."""
    return lambda wildcards: block_of(wildcards).classified_again(name)


def first_of_round(name):
    """Return an input function: that file of a block's classification before it may be continued."""
    return lambda wildcards: PLAN.first_classification(block_of(wildcards), name)


def choice_of_second_chance(wildcards):
    """Return the options of the choice from rejected particles: by score alone, and without floors."""
    item = round_of(wildcards)
    said = {"do_class_ranker": True, "rank_threshold": item.own.second_chance_threshold}
    return dataclasses.asdict(SelectOptions(**said))
