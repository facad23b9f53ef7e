"""A field of an options dataclass with what a reader must know of it, and the fields that all jobs have."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


def option(
    default: Any,
    label: str,
    tab: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    refused: str = "",
    unused: str = "",
    relion_default: Any = None,
    is_input: bool | str = False,
    is_class_list: bool = False,
) -> Any:
    """Return a dataclass field that carries what a reader must know of an option.

    `refused` is the reason any other value than RELION's default is refused; `unused` the reason why any value
    is taken and changes nothing; `relion_default` is set where our default differs from RELION's; `is_input`
    marks what the workflow fills in, not the user; a text says what the user says instead; `is_class_list` marks a
    text that may be given as a list of numbers.
    """
    facts: dict[str, Any] = dict(label=label, tab=tab, unit=unit, minimum=minimum, maximum=maximum)
    facts |= dict(choices=choices, refused=refused, unused=unused, is_input=is_input)
    facts["is_class_list"] = is_class_list
    facts["relion_default"] = default if relion_default is None else relion_default
    return dataclasses.field(default=default, metadata=facts)


_QUEUE = "queues belong to the profile (snakemake --profile)"
_ONLY_QUEUE = "only with do_queue"


@dataclass(frozen=True)
class RunOptions:
    """Fields every RELION job window has."""

    do_queue: bool = option(False, "Submit to queue?", "Running", refused=_QUEUE)
    queuename: str = option("openmpi", "Queue name", "Running", unused=_ONLY_QUEUE)
    qsub: str = option("sbatch", "Queue submit command", "Running", unused=_ONLY_QUEUE)
    qsubscript: str = option("", "Standard submission script", "Running", unused=_ONLY_QUEUE)
    min_dedicated: int = option(1, "Minimum dedicated cores per node", "Running", unused=_ONLY_QUEUE)
    other_args: str = option("", "Additional arguments", "Running", refused="Winnow has no hidden arguments")
