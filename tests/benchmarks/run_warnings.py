"""How often each warning about a run is given, on sets that show it and on others: python -m benchmarks.run_warnings.

Proteins are in two groups: `tuned` are those the limits were found on, `held_out` others.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from simulated_runs import classified, simulated
from winnow2d.selection.diagnosis import KINDS, diagnose
from winnow2d.selection.features import class_features
from winnow2d.selection.scores import score_classes

PROTEINS = {
    "tuned": (
        (1, "C1", 150.0), (2, "D2", 170.0), (3, "C4", 180.0), (4, "C2", 120.0), (5, "D3", 200.0), (6, "C1", 110.0),
        (7, "C5", 140.0), (8, "D7", 160.0),
    ),
    "held_out": (
        (201, "C1", 160.0), (202, "D2", 190.0), (203, "C2", 130.0), (204, "C3", 150.0), (205, "C1", 140.0),
        (206, "D5", 180.0), (207, "C4", 120.0), (208, "C1", 200.0),
    ),
}  # fmt: skip
Case = tuple[str, dict[str, Any], dict[str, Any]]  # the kind it shows, or good; of the particles; of the run


def cases_of(number: int, seed: int, symmetry: str, diameter: float) -> Iterator[Case]:
    """Yield what is made of one protein; noise, number of particles, boxes and algorithms change with its number."""
    algorithm, other = ({}, {"do_grad": True, "nr_iter_grad": 60})[:: 1 if number % 2 == 0 else -1]
    box, snr = (48, 64)[number // 2 % 2], (0.4, 0.3, 0.6, 1.0)[number % 4]
    n, k = ((700, 8), (900, 12), (1100, 10))[number % 3]

    def particles(box: int, boxes_over_diameter: float, snr: float, n: int = n, **more: Any) -> dict[str, Any]:
        pixel = round(boxes_over_diameter * diameter / box, 3)
        usual = {"micrographs": max(8, n // 50), "junk": 0.2, "shift": 1.5, "seed": seed, "symmetry": symmetry}
        return usual | {"box": box, "pixel_size": pixel, "diameter": diameter, "particles": n, "snr": snr} | more

    def run(how: dict[str, Any], mask: float, **more: Any) -> dict[str, Any]:
        usual = {"nr_iter_em": 20, "nr_classes": k, "particle_diameter": 5.0 * round(mask * diameter / 5)}
        return usual | how | more

    usual = particles(box, 1.7, max(snr, 0.3))
    yield "good", particles(box, 1.7, snr), run(algorithm, 1.2)
    yield "good", particles(box, 1.6, snr, junk=0.3 * (number % 2), views=2 * (number // 2 % 2)), run(other, 1.15)
    yield "good", particles(48, 1.9, snr, junk=0.4), run(algorithm, 1.3, nr_classes=15)
    yield "good", particles(box, 1.8, max(snr, 0.4), junk=0.1), run(algorithm, 1.25, tau_fudge=4.0)
    yield "noisy_averages", usual, run(algorithm, 1.2, tau_fudge=20.0)
    yield "noisy_averages", usual, run(other, 1.2, tau_fudge=50.0)
    yield "coarse_averages", usual, run(algorithm, 1.2, tau_fudge=0.1)
    yield "mask_clips", particles(box, 1.7, snr), run(algorithm, 0.6)
    yield "mask_clips", particles(48, 1.7, snr), run(other, 0.6)
    yield "mask_too_large", particles(64, 2.1, snr / 1.3), run(algorithm, 2.0)
    yield "neighbours_in_mask", particles(64, 2.1, snr / 1.3, is_crowded=True), run(algorithm, 1.7)
    weak = particles(64, 2.0, (0.01, 0.03)[number % 2], 1500, junk=0.0)
    fine = {"psi_sampling": (3.0, 2.0)[number // 4 % 2], "offset_range": 2.0, "nr_classes": 3 + number // 2 % 2}
    yield "streaks", weak, run({}, 1.75, tau_fudge=4.0, **fine)
    yield "small_groups", particles(48, 1.7, snr, 700, micrographs=100), run({}, 1.2, nr_iter_em=10)


def rates(proteins: Sequence[tuple[int, str, float]]) -> dict[str, Counter[str]]:
    """Return how often each kind of warning was given on each kind of set; `sets` counts these."""
    found: dict[str, Counter[str]] = {}
    for number, protein in enumerate(proteins):
        for shows, particles, options in cases_of(number, *protein):
            iteration, mask_ang = classified(simulated(**particles), **options), options["particle_diameter"]
            share = score_classes(class_features(iteration, mask_ang)).good_share
            given = [one.kind for one in diagnose(iteration, mask_ang, share)]
            found.setdefault(shows, Counter()).update(["sets", *given])
            print(f"{shows} of protein {protein[0]}: {', '.join(given) or 'silent'}", flush=True)  # noqa: T201
    return found


def main(arguments: Sequence[str]) -> int:
    """Print the table of rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", nargs="?", choices=tuple(PROTEINS), default="held_out")
    parser.add_argument("--proteins", type=int, default=8, help="how many of the group")
    given = parser.parse_args(arguments)
    found = rates(PROTEINS[given.group][: given.proteins])
    for shows, counts in found.items():
        numbers = ", ".join(f"{kind} {counts[kind]}" for kind in KINDS if counts[kind])
        print(f"{shows}: {counts['sets']} sets; {numbers or 'no warning'}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
