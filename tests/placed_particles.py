"""Particle tables that say where particles lie, without images, for tests of duplicates and of mapping."""

from __future__ import annotations

import numpy as np
import pandas as pd

from winnow2d.formats.particles import ParticleTable


def placed(coordinates, micrographs, offsets=None, groups=None, stack="s.mrcs", optics=None, **columns):
    """Return a table of n particles at `coordinates` (n, 2) px; `optics` are cells, one per group, over defaults."""
    n = len(coordinates)
    groups = np.ones(n, dtype=int) if groups is None else np.asarray(groups)
    count = int(groups.max())
    cells = {
        "rlnOpticsGroupName": [f"group{g + 1}" for g in range(count)],
        "rlnOpticsGroup": [str(g + 1) for g in range(count)],
        "rlnVoltage": ["300.000000"] * count,
        "rlnSphericalAberration": ["2.700000"] * count,
        "rlnAmplitudeContrast": ["0.100000"] * count,
        "rlnImagePixelSize": ["2.000000"] * count,
        "rlnImageSize": ["64"] * count,
        "rlnImageDimensionality": ["2"] * count,
    } | (optics or {})
    rows = {
        "rlnImageName": [f"{i + 1:06d}@{stack}" for i in range(n)],
        "rlnMicrographName": list(micrographs),
        "rlnOpticsGroup": groups.astype(str),
        "rlnCoordinateX": [f"{x:.6f}" for x in np.asarray(coordinates)[:, 0]],
        "rlnCoordinateY": [f"{y:.6f}" for y in np.asarray(coordinates)[:, 1]],
    }
    if offsets is not None:
        rows["rlnOriginXAngst"] = [f"{x:.6f}" for x in np.asarray(offsets)[:, 0]]
        rows["rlnOriginYAngst"] = [f"{y:.6f}" for y in np.asarray(offsets)[:, 1]]
    return ParticleTable(pd.DataFrame(cells, dtype=object), pd.DataFrame(rows | columns, dtype=object))
