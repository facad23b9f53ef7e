"""A class that EM is about to lose is made one half of the largest: RELION never fills such a class again."""

from __future__ import annotations

import logging

import numpy as np

from .initialise import low_pass

logger = logging.getLogger(__name__)
DYING_FRACTION = 0.1  # of the mean share of the classes; RELION's --class_inactivity_threshold
# Iterations that may split a class. None of the late ones, in which its halves would not find their particles any more;
# and whatever the total is, so that a run that is continued is the unbroken run.
SPLITTING_ITERATIONS = range(1, 19)
_MOST_AT_ONCE = 20  # one of so many classes is split in an iteration, and at least one
_SPREAD = 0.3  # r.m.s. of what tells the halves apart, over that of the class


def split_largest(
    references: np.ndarray, share: np.ndarray, mask: np.ndarray, shell: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return references and shares in which dying classes are halves of the largest ones.

    The halves differ by a smooth random image, added to one and taken from the other; from the next iteration on
    each particle of the class chooses between them.

    Parameters
    ----------
    references : (k, y, x) array, before solvent flattening
    share : (k,) array
        Share of each class in the particles of this iteration; sums to 1.
    mask : (y, x) array
        1 inside the particle.
    shell : int
        The random image has no frequencies beyond.

    Returns
    -------
    references, share : copies
    n_split : int
    """
    references, share, n_split = references.copy(), share.copy(), 0
    for _ in range(max(1, len(share) // _MOST_AT_ONCE)):
        dying, largest = int(share.argmin()), int(share.argmax())
        if share[dying] >= DYING_FRACTION / len(share) or share[largest] <= 2 * DYING_FRACTION / len(share):
            break
        field = low_pass(rng.standard_normal((1, *mask.shape)), shell)[0] * mask
        own = references[largest] * mask
        field *= _SPREAD * np.sqrt((own**2).mean() / max((field**2).mean(), 1e-30))
        references[dying], references[largest] = references[largest] - field, references[largest] + field
        logger.info("Class %d was dying (%.2g of all) and goes on as half of class %d",
                    dying + 1, share[dying], largest + 1)  # fmt: skip
        share[dying] = share[largest] = (share[largest] + share[dying]) / 2
        n_split += 1
    return references, share, n_split
