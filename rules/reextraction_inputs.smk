# What the rules of reextract.smk ask for: inputs, and where the box of the last extraction comes from.


def sources_of_box(wildcards):
    """Return the inputs of a round's extraction in another box, by name."""
    found = {"particles": PLAN.before(block_of(wildcards)), "entered": PLAN.all_entered}
    if CONFIG.micrographs:
        found["micrographs"] = PLAN.micrographs
    return found | {"truth": [PLAN.truth] if PLAN.is_simulated else []}


def sources_of_reextraction(wildcards):
    """Return the inputs of the last extraction, by name."""
    found = {"particles": PLAN.kept_particles(len(CONFIG.rounds)), "entered": PLAN.all_entered, "truth": []}
    return found | ({"micrographs": PLAN.micrographs} if PLAN.micrographs else {})


def box_of_reextraction():
    """Return where the box of the last extraction comes from, unless own.reextract_size says it."""
    if not CONFIG.micrographs:
        return "particles"
    return "mask" if any(item.own.auto_box for item in CONFIG.rounds) else "options"
