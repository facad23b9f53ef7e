"""An iteration moves its averages to the middle after averaging: the model tells how far, so that particles can follow.

The average is made again from the particles of a class at the poses found, one class at a time, without centring.
"""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from classified import classifier
from synthetic import make_particles
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.selection.recentre import moves_to_centre, offsets_after


@pytest.fixture(scope="module")
def classified():
    """Return particles and the last iteration of a classification with centring."""
    particles = make_particles(k=3, n=180, box=32, snr=1.0, seed=3)
    run = classifier(particles, offset_range=6.0, nr_iter_em=2)
    while not run.done:
        run.update()
    return particles, run.iteration


def averaged_again(particles, iteration, k, offset_ang):
    """Return the average (y, x) of a class's particles at the angles found and the offsets given."""
    own = iteration.particles.class_index == k
    names = [field.name for field in dataclasses.fields(iteration.particles) if field.name != "group_names"]
    members = replace(iteration.particles, **{name: getattr(iteration.particles, name)[own] for name in names})
    members = replace(members, offset_ang=offset_ang[own])
    alone = replace(particles, images=particles.images[own], particles=members)
    once = dict(do_em=True, do_grad=False, nr_iter_em=1, nr_classes=1, do_center=False, dont_skip_align=False)
    return classifier(alone, **once).update().model.references[0]


def test_particles_follow_what_was_moved_after_averaging(classified):
    particles, iteration = classified
    model, found = iteration.model, iteration.particles
    to_centre = moves_to_centre(model.references) * model.pixel_size_ang
    moves = (model.centring_ang + to_centre)[found.class_index]
    followed = offsets_after(found.offset_ang, found.psi_deg, moves)
    half_way = offsets_after(found.offset_ang, found.psi_deg, to_centre[found.class_index])
    compared = 0
    for k in np.flatnonzero(np.bincount(found.class_index, minlength=3) >= 25):
        centre_px = np.hypot(*positive_centre_of_mass(averaged_again(particles, iteration, k, followed)))
        assert centre_px < 0.35
        move_px = np.hypot(*model.centring_ang[k]) / model.pixel_size_ang
        if move_px > 0.6:
            without_px = np.hypot(*positive_centre_of_mass(averaged_again(particles, iteration, k, half_way)))
            assert without_px > centre_px + 0.5 * move_px
            compared += 1
    assert compared
