"""VDAM's schedules: how many particles, how long a step, which T, as functions of the iteration; pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from winnow2d.numerics.shells import round_half_away

INITIAL_FRACTION, FINAL_FRACTION = 0.3, 0.2  # RELION's --grad_ini_frac, --grad_fin_frac
# Share of the middle phase in which overfull classes are split; later the halves would not part from each other, and
# particles not find their new places, before the last iterations.
SPLITTING_FRACTION = 0.6
FIRST_STEP, LAST_STEP = 0.9, 0.3
FIRST_T = 1.0


@dataclass(frozen=True)
class Phases:
    """How many iterations each of the three phases has.

    Iterations are counted from 1; the middle phase begins at iteration `initial`.
    """

    initial: int
    middle: int
    final: int

    def is_middle(self, number: int) -> bool:
        """Return whether classes are relocated in this iteration."""
        return self.initial < number < self.initial + self.middle

    def is_splitting(self, number: int) -> bool:
        """Return whether overfull classes may be split in this iteration (not in RELION)."""
        return self.initial < number < self.initial + int(SPLITTING_FRACTION * self.middle)

    def is_final(self, number: int) -> bool:
        """Return whether this iteration belongs to the last phase."""
        return number >= self.initial + self.middle


def phases(n_iterations: int) -> Phases:
    """Return the three phases of a run."""
    initial, final = int(INITIAL_FRACTION * n_iterations), int(FINAL_FRACTION * n_iterations)
    return Phases(initial, n_iterations - initial - final, final)


def batch_limits(n_particles: int) -> tuple[int, int]:
    """Return the first and the last batch size of a run on `n_particles`."""
    first = max(min(int(0.005 * n_particles), 10_000), 200)
    return first, max(min(int(0.05 * n_particles), 100_000), 1000)


def batch_size(number: int, n_iterations: int, n_particles: int, n_classes: int, limits: tuple[int, int]) -> int:
    """Return how many particles iteration `number` looks at; all of them in the last one."""
    part = phases(n_iterations)
    first, last = limits
    if number < part.initial:
        size = first
    elif not part.is_final(number):
        size = first + round_half_away((number - part.initial) / part.middle * (last - first))
    else:
        size = last
    is_whole = size >= n_particles or (number == n_iterations and n_classes > 1)
    return n_particles if is_whole else size


def _falling(number: int, start: int, width: int) -> float:
    """Return a sigmoid that falls from 1 to 0 around start + width / 2."""
    if width < 1:  # a run too short for the sigmoid
        return 1.0 if number < start else 0.0
    exponent = (number - start - width / 2) / (width / 4)
    return 1 / (1 + 10 ** min(exponent, 300))


def step_size(number: int, n_iterations: int) -> float:
    """Return the length of the gradient step."""
    part = phases(n_iterations)
    share = _falling(number, part.initial, part.middle // 2)
    return FIRST_STEP * share + LAST_STEP * (1 - share)


def tau2_fudge(number: int, n_iterations: int, final: float) -> float:
    """Return the regularisation parameter T, which rises from 1 to its final value."""
    part = phases(n_iterations)
    share = _falling(number, part.initial, part.middle // 4)
    return FIRST_T * share + final * (1 - share)
