# What the rules of reextract.smk ask for: inputs, and where the box of the last extraction comes from.


def sources_of_box(wildcards):
    """Return the inputs of a round's extraction in another box, by name."""
    found = {"particles": kept_particles(round_of(wildcards).number - 1), "entered": kept_particles(0)}
    if CONFIG.micrographs:
        found["micrographs"] = MICROGRAPHS
    return found | {"truth": [TRUTH] if IS_SIMULATED else []}


def sources_of_reextraction(wildcards):
    """Return the inputs of the last extraction, by name."""
    found = {"particles": kept_particles(len(CONFIG.rounds)), "entered": kept_particles(0), "truth": []}
    return found | ({"micrographs": MICROGRAPHS} if MICROGRAPHS else {})


def box_of_reextraction():
    """Return where the box of the last extraction comes from, unless own.reextract_size says it."""
    if not CONFIG.micrographs:
        return "particles"
    return "mask" if any(item.own.auto_box for item in CONFIG.rounds) else "options"
