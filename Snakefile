"""Winnow: rounds of 2D classification and selection, from extracted particles to clean ones."""

from snakemake.utils import min_version

min_version("9.19")


include: "rules/common.smk"
include: "rules/resources.smk"


rule all:
    input:
        PAGE,
        PLAN.ends,


if CONFIG.demo:

    include: "rules/simulate.smk"

elif CONFIG.micrographs:

    include: "rules/extract_micrographs.smk"

elif not GIVEN:

    include: "rules/extract.smk"


if PLAN.n_splits > 1:

    include: "rules/split.smk"


if PLAN.n_parts > 1:

    include: "rules/join.smk"


include: "rules/reextraction_inputs.smk"
include: "rules/reextract.smk"
include: "rules/classification_inputs.smk"
include: "rules/class2d.smk"
include: "rules/continue_class2d.smk"
include: "rules/selection_inputs.smk"
include: "rules/select_classes.smk"
include: "rules/second_chance.smk"
include: "rules/regroup.smk"
include: "rules/clean.smk"
include: "rules/report.smk"


if CONFIG.own.map_to:

    include: "rules/map_particles.smk"


if PLAN.exported:

    include: "rules/export_particles.smk"


onstart:
    begin()
    withdraw_alias()


onerror:
    put_project_right()


onsuccess:
    tell_where_the_report_is()
