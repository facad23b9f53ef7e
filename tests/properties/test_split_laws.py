"""Laws of dealing particles into parts: even, balanced over micrographs, and blind to the order of rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from winnow2d.intake.splits import part_of_each


@st.composite
def particles(draw):
    """Return image names and micrograph names of a set of particles."""
    counts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=8))
    pairs = [(f"{i:06d}@m{m}.mrcs", f"m{m}.mrc") for m, count in enumerate(counts) for i in range(1, count + 1)]
    return draw(st.permutations(pairs))


@given(particles(), st.integers(1, 5), st.integers(0, 99))
def test_parts_are_even_over_all_and_within_every_micrograph(pairs, n_parts, seed):
    images, micrographs = zip(*pairs, strict=True)
    part = part_of_each(images, micrographs, n_parts, seed)
    everything = np.bincount(part, minlength=n_parts)
    assert everything.max() - everything.min() <= 1
    for name in set(micrographs):
        counts = np.bincount(part[[m == name for m in micrographs]], minlength=n_parts)
        assert counts.max() - counts.min() <= 1


@given(particles(), st.integers(2, 5), st.randoms())
def test_a_particle_goes_to_the_same_part_wherever_its_row_stands(pairs, n_parts, random):
    other = list(pairs)
    random.shuffle(other)

    def parts(rows):
        images, micrographs = zip(*rows, strict=True)
        return dict(zip(images, part_of_each(images, micrographs, n_parts, 1).tolist(), strict=True))

    assert parts(pairs) == parts(other)


def test_another_seed_deals_otherwise_and_micrographs_may_be_unknown():
    names = [f"{i:06d}@s.mrcs" for i in range(1, 201)]
    one, two = (part_of_each(names, None, 2, seed) for seed in (1, 2))
    assert np.bincount(one).tolist() == np.bincount(two).tolist() == [100, 100]
    assert 50 < (one == two).sum() < 150
