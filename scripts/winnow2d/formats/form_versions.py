"""Variables of RELION's job forms that only some of its versions have.

A job.star of ours carries those of 3.1, 4.0 and 5, so that each shows its form filled in; and one that any of
them wrote is read.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping
from typing import Any

from winnow2d.errors import JobError
from winnow2d.options import Class2DOptions, ExtractOptions, SelectOptions

logger = logging.getLogger(__name__)

# Variables that RELION 5 no longer has, with RELION's default; of 3.1, but for python_exe, which is 4.0's.
_FORMER: dict[type, dict[str, str]] = {
    Class2DOptions: {"nr_iter": "25", "do_fast_subsets": "No"},
    SelectOptions: {"fn_coords": "", "python_exe": "python"},
}


def former_variables(options: Any) -> dict[str, Any]:
    """Return the variables that only earlier versions of RELION have, for the form of a job with these options."""
    values: dict[str, Any] = dict(_FORMER.get(type(options), {}))
    if isinstance(options, Class2DOptions):
        values["nr_iter"] = options.n_iterations
    return values


def current_variables(kind: type, values: Mapping[str, str], is_ours: bool, where: str) -> dict[str, str]:
    """Return the variables of a form of any version under the names of `kind`.

    Parameters
    ----------
    kind : an options dataclass
    values : variable -> text, as they stand in a job.star
    is_ours : whether Winnow wrote it; then what is unknown is left in, to be told as an error. In a form that RELION
        filled in it is left out with a warning, as RELION does.
    where : what to name in warnings
    """
    found, former = dict(values), _FORMER.get(kind, {})
    if "nr_iter" in former and "nr_iter" in found and "do_em" not in found:  # RELION 3.1 knows EM alone
        found |= {"do_em": "Yes", "do_grad": "No", "nr_iter_em": found["nr_iter"]}
    for name, default in former.items():
        value = found.pop(name, default)
        if value != default and name != "nr_iter":
            logger.warning("%s: %s %s has no effect here", where, name, value)
    known = {item.name for item in dataclasses.fields(kind)}
    if is_ours:
        return found
    if kind is ExtractOptions:
        found.setdefault("do_float16", "No")  # RELION 3.1 does not ask, and cannot read them
    if unknown := [name for name in found if name not in known]:
        logger.warning("%s: options that Winnow does not know, left out: %s", where, ", ".join(unknown))
    return {name: value for name, value in found.items() if name in known}


def files_of_fn_model(fn_model: str) -> dict[str, str]:
    """Return the files that go with what a Select job's form names: an optimiser file, or for RELION 3.1 a model file.

    Like RELION's display it goes by names: X_optimiser.star, X_model.star and X_data.star belong together.

    Raises
    ------
    JobError
        It is called otherwise.
    """
    match = re.fullmatch(r"(.*_)(optimiser|model)\.star", fn_model)
    if match is None:
        found = f"found '{fn_model}'" if fn_model else "found nothing"
        raise JobError(f"fn_model: expected run_itNNN_optimiser.star or run_itNNN_model.star of a Class2D job, {found}")
    return {name: f"{match[1]}{name}.star" for name in ("optimiser", "model", "data")}
