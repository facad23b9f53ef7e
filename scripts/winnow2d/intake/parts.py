"""Parts that a first round is classified in: whether they can be had."""

from __future__ import annotations

from winnow2d.options import OwnOptions

MOST_ROUNDS = 9  # the jobs of a tenth round have the numbers of a second part's
MOST_PARTS = 90


def faults_of_parts(n_parts: int, n_files: int, n_rounds: int, own: OwnOptions, optimiser: str) -> list[str]:
    """Return what stands against a first round in parts, one sentence each; nothing if it has one part.

    Parameters
    ----------
    n_parts : classifications of the first round
    n_files : particle files of the input
    n_rounds : rounds of the config
    own : OwnOptions of the first round
    optimiser : the classification given, empty if none
    """
    if n_parts == 1:
        return []
    faults = []
    if optimiser:
        faults.append("own.splits: the classification of the first round is given, and cannot be split any more.")
    if n_rounds > MOST_ROUNDS:
        faults.append(
            f"rounds: {n_rounds} entries; with a first round in parts at most {MOST_ROUNDS} have job numbers."
        )
    if n_parts > MOST_PARTS:
        faults.append(f"own.splits: {n_parts} parts of the first round; at most {MOST_PARTS} have job numbers.")
    if own.passthrough and n_files > 1:
        faults.append("own.passthrough: belongs to one .cs file, and input.particles has several; put each beside its.")
    if own.selected_classes:
        files = ", ".join(f"overrides/round_{10 * part + 1:02d}.yaml" for part in range(min(n_parts, 2)))
        faults.append(
            f"own.selected_classes: each of the {n_parts} parts of the first round has classes of its own; say "
            f"which to keep in {files}{' and so on' if n_parts > 2 else ''}."
        )
    return faults
