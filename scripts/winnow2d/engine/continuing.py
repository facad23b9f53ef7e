"""Going on from an iteration of another run, with options of one's own (RELION's "Continue from here")."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

from winnow2d.errors import ConfigError
from winnow2d.options import Class2DOptions
from winnow2d.records import Iteration, Sampling

from .gradient_step import first_moments
from .sampling import first_sampling
from .schedule import first_resolution_shell
from .vdam_schedule import batch_limits


def continued(iteration: Iteration, options: Class2DOptions, name: str) -> Iteration:
    """Return an iteration as the state that a run with these options goes on from.

    The search grid is the one asked for, moved as far from its origin as the iteration's was. VDAM begins with
    fresh moments after an iteration of EM; EM has no use for those of VDAM.

    Parameters
    ----------
    iteration : Iteration
        Of any run with as many classes as `options` say.
    options : Class2DOptions
        The number of iterations is the total, those already done included.
    name : str
        The file the iteration is from, for messages.

    Raises
    ------
    ConfigError
        All iterations asked for are already done.
    """
    number, total, model = iteration.number, options.n_iterations, iteration.model
    if number >= total:
        key = "nr_iter_em" if options.do_em else "nr_iter_grad"
        raise ConfigError(
            f"class2d.fn_cont: {name} is at iteration {number}, and class2d.{key}: {total} counts all iterations, "
            f"also those already done; give more than {number}."
        )
    if model.resolution_shell == 0:  # RELION writes an infinite resolution at iteration 0
        model = replace(model, resolution_shell=first_resolution_shell(model.box_px))
    sampling = _sampling(iteration.sampling, first_sampling(options, model.pixel_size_ang))
    # What the iteration's own file says of top classes is none of its inputs: each run finds its own.
    particles = replace(iteration.particles, top_classes=None, top_posteriors=None)
    going_on = replace(iteration, total=total, model=model, particles=particles, sampling=sampling)
    if options.do_em:
        return replace(going_on, batch_size=-1, step_size=0.0, batch_limits=None, moments=None)
    return replace(
        going_on,
        batch_limits=iteration.batch_limits or batch_limits(len(iteration.particles)),
        moments=iteration.moments or first_moments(model.n_classes, model.box_px),
    )


def _sampling(old: Sampling, wanted: Sampling) -> Sampling:
    """Return the grid to go on with; one that was made coarser stays so, if it was made from the one wanted."""
    pairs = (
        (old.original_psi_step_deg, wanted.psi_step_deg),
        (old.offset_range_ang, wanted.offset_range_ang),
        (old.original_offset_step_ang, wanted.offset_step_ang),
    )
    if all(isclose(mine, other, rel_tol=1e-5) for mine, other in pairs):
        return old
    return replace(wanted, perturbation=old.perturbation, perturbation_factor=old.perturbation_factor)
