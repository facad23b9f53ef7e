"""Averages with more or less detail than their particles support: T is too high or too low.

The signal-to-noise ratio of an average is judged shell by shell from the model alone. An average that
the prior shrinks by w has the power f w**2 (S + N) inside a mask that fills the part f of the box,
where S is what its particles agree on and N the noise that is left after averaging them; N and w are
in the model. So T cancels, and S / N tells what the shell is worth whatever T was.
"""

from __future__ import annotations

import numpy as np

from winnow2d.numerics.shells import resolution_shell
from winnow2d.records import Model

from .averages import Averages
from .finding import Finding

FIRST_SHRUNK = 5  # the prior is used from this shell on (RELION's minres_map)
NOISY_SHELLS = 0.15  # of the shells an average shows, with less signal than noise in them
COARSE = 15.0  # power of the last shells an average shows, before it was shrunk, over the noise of the whole box
# An average ends where its power falls to 1 / T of that noise; T = 2 gives about 4.
_SHARE = 0.5  # of the particles of counted classes that must be in classes concerned
_FEWEST_SHELLS = 2  # of an average that is judged
_SHELLS_BEYOND = 2  # shells with pixels but without signal: with fewer, the box ends there and not the average
_USUAL_T = 2.0


def filled_part(averages: Averages) -> float:
    """Return the part of the box that the mask fills."""
    return float(min(1.0, np.pi / 4 * (averages.mask_diameter_ang / averages.box_ang) ** 2))


def signal_to_noise(model: Model, filled: float) -> np.ndarray:
    """Return the signal-to-noise ratio (k, s) of averages before they were shrunk; -1 where nothing is known."""
    evidence, noise = _finite(model.data_vs_prior), _finite(model.sigma2_reference)
    weight = evidence / (1 + evidence)
    weight[:, :FIRST_SHRUNK] = 1
    power = _finite(model.tau2) / np.maximum(weight, 1e-3) ** 2
    return np.where(noise > 0, power / np.maximum(filled * noise, 1e-300) - 1, -1.0)


def _finite(values: np.ndarray) -> np.ndarray:
    """Return values with what RELION leaves of a lost class, NaN and infinities, as 0."""
    return np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def noisy_or_coarse(model: Model, averages: Averages) -> list[Finding]:
    """Return the warnings that T is too high or too low, if most classes show it."""
    filled, last = filled_part(averages), resolution_shell(_finite(model.data_vs_prior))
    ratio = signal_to_noise(model, filled)
    noisy, edge = np.zeros(len(last)), np.zeros(len(last))
    for k, end in enumerate(last):
        if end >= _FEWEST_SHELLS:
            noisy[k] = (ratio[k, 1 : end + 1] < 1).mean()
            edge[k] = np.exp(np.log(np.maximum(ratio[k, end - 1 : end + 1], 1e-3)).mean())
    may_grow = last < min(model.box_px, model.image_size_px) // 2 - _SHELLS_BEYOND
    is_noisy = averages.counted & (noisy > NOISY_SHELLS)
    is_coarse = averages.counted & may_grow & (filled * (1 + edge) > COARSE)
    found = []
    if averages.share(is_noisy) > _SHARE:
        found.append(_noisy(model, averages, noisy, is_noisy, last))
    if averages.share(is_coarse) > _SHARE:
        found.append(_coarse(model, averages, edge, is_coarse, last))
    return found


def _noisy(model: Model, averages: Averages, noisy: np.ndarray, concerned: np.ndarray, last: np.ndarray) -> Finding:
    part, t = averages.mean(noisy, concerned), model.tau2_fudge
    suggested = round(min(_USUAL_T, t / 2), 2)
    resolution = averages.box_ang / averages.mean(last, concerned)
    return Finding(
        "noisy_averages",
        f"The averages of {concerned.sum()} classes show detail to {resolution:.1f} A, but {part:.0%} of the shells up "
        f"to there hold more noise than signal: T = {t:g} is too high for these data. Lower class2d: {{tau_fudge: "
        f"{suggested:g}}}.",
        {"noisy_part": part, "resolution_ang": resolution, "tau_fudge": t, "suggested_tau_fudge": suggested},
        np.flatnonzero(concerned),
    )


def _coarse(model: Model, averages: Averages, edge: np.ndarray, concerned: np.ndarray, last: np.ndarray) -> Finding:
    signal, t = float(np.median(edge[concerned])), model.tau2_fudge
    suggested = round(max(_USUAL_T, 2 * t), 2)
    resolution = averages.box_ang / averages.mean(last, concerned)
    return Finding(
        "coarse_averages",
        f"The averages of {concerned.sum()} classes end at {resolution:.1f} A, where their particles still hold "
        f"{signal:.0f} times more signal than noise: T = {t:g} is too low for these data. Raise class2d: {{tau_fudge: "
        f"{suggested:g}}}.",
        {"edge_snr": signal, "resolution_ang": resolution, "tau_fudge": t, "suggested_tau_fudge": suggested},
        np.flatnonzero(concerned),
    )
