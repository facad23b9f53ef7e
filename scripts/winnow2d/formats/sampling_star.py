"""run_itNNN_sampling.star <-> Sampling: the coarse search grid of an iteration."""

from __future__ import annotations

from typing import Any

import pandas as pd

from winnow2d.formats.cells import number_of
from winnow2d.records import Sampling

TABLE = "sampling_general"


def sampling_blocks(sampling: Sampling) -> dict[str, dict[str, Any]]:
    """Return the table of a sampling file; original steps that are not known are the present ones."""
    return {
        TABLE: {
            "rlnIs3DSampling": False,
            "rlnIs3DTranslationalSampling": False,
            "rlnPsiStep": float(sampling.psi_step_deg),
            "rlnOffsetRange": float(sampling.offset_range_ang),
            "rlnOffsetStep": float(sampling.offset_step_ang),
            "rlnHelicalOffsetStep": -1.0,
            "rlnSamplingPerturbInstance": float(sampling.perturbation),
            "rlnSamplingPerturbFactor": float(sampling.perturbation_factor),
            "rlnHealpixOrderOriginal": 2,
            "rlnPsiStepOriginal": float(sampling.original_psi_step_deg or sampling.psi_step_deg),
            "rlnOffsetRangeOriginal": float(sampling.offset_range_ang),
            "rlnOffsetStepOriginal": float(sampling.original_offset_step_ang or sampling.offset_step_ang),
        }
    }


def sampling_from_blocks(blocks: dict[str, pd.DataFrame], where: str) -> Sampling:
    """Return the search grid a sampling file tells of.

    Raises
    ------
    StarError
        If the psi step, offset range or offset step is missing or no number.
    """
    table = blocks.get(TABLE, pd.DataFrame())
    psi_step = number_of(table, "rlnPsiStep", where=where)
    offset_step = number_of(table, "rlnOffsetStep", where=where)
    return Sampling(
        psi_step_deg=psi_step,
        offset_range_ang=number_of(table, "rlnOffsetRange", where=where),
        offset_step_ang=offset_step,
        perturbation=number_of(table, "rlnSamplingPerturbInstance", 0.0, where=where),
        perturbation_factor=number_of(table, "rlnSamplingPerturbFactor", 0.5, where=where),
        original_psi_step_deg=number_of(table, "rlnPsiStepOriginal", psi_step, where=where),
        original_offset_step_ang=number_of(table, "rlnOffsetStepOriginal", offset_step, where=where),
    )
