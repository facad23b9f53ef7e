"""Classes that get few particles are made halves of those that get too many.

In EM a class about to be lost, which RELION never fills again. In VDAM also one that keeps a few particles: full
classes have the cleaner averages and draw ever more, so that few classes would serve most particles, each with several
views mixed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from .initialise import low_pass

Halved = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # an image -> its halves

logger = logging.getLogger(__name__)
DYING_FRACTION = 0.1  # of the mean share of the classes; RELION's --class_inactivity_threshold
# Iterations that may split a class. None of the late ones, in which its halves would not find their particles any more;
# and whatever the total is, so that a run that is continued is the unbroken run.
SPLITTING_ITERATIONS = range(1, 19)
_MOST_AT_ONCE = 20  # one of so many classes is split in an iteration, and at least one
_SPREAD = 0.3  # r.m.s. of what tells the halves apart, over that of the class
# In VDAM a class with more than OVERFULL mean shares is split, so that its halves hold a mean share each, if there is
# another with less than SPARSE mean shares to take one of them.
OVERFULL, SPARSE = 2.0, 0.3


def halves(image: np.ndarray, mask: np.ndarray, shell: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (y, x) less and plus a smooth random one, inside the mask; see `split_largest`."""
    field = low_pass(rng.standard_normal((1, *mask.shape)), shell)[0] * mask
    own = image * mask
    field *= _SPREAD * np.sqrt((own**2).mean() / max((field**2).mean(), 1e-30))
    return image - field, image + field


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
        references[dying], references[largest] = halves(references[largest], mask, shell, rng)
        logger.info("Class %d was dying (%.2g of all) and goes on as half of class %d",
                    dying + 1, share[dying], largest + 1)  # fmt: skip
        share[dying] = share[largest] = (share[largest] + share[dying]) / 2
        n_split += 1
    return references, share, n_split


def split_overfull(images: np.ndarray, first: np.ndarray, second: np.ndarray, share: np.ndarray, halved: Halved) -> int:
    """Make sparse classes halves of overfull ones, in place, and return how many.

    Both halves go on with the moments of the class.

    Parameters
    ----------
    images : (k, y, x); first : (2, k, v, u); second : (k, v, u)
        References and their moments.
    share : (k,) array
        Share of each class in the particles; sums to 1.
    halved : function
        Returns the halves of an image.
    """
    n = len(share)
    for n_split in range(max(1, n // _MOST_AT_ONCE)):
        sparse, fullest = int(share.argmin()), int(share.argmax())
        if share[sparse] >= SPARSE / n or share[fullest] <= OVERFULL / n:
            return n_split
        logger.info("Class %d was sparse (%.2g of all) and goes on as half of class %d (%.2g)",
                    sparse + 1, share[sparse], fullest + 1, share[fullest])  # fmt: skip
        images[sparse], images[fullest] = halved(images[fullest])
        first[:, sparse], second[sparse] = first[:, fullest], second[fullest]
        share[sparse] = share[fullest] = (share[fullest] + share[sparse]) / 2
    return max(1, n // _MOST_AT_ONCE)
