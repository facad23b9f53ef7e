"""Particle sets on which the choice of classes is measured: proteins and seeds the score was never fitted to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.sets import SetPlan, SimulatedSet, VariedSimulation, simulate
from winnow2d.demo_options import DemoOptions
from winnow2d.formats.density_map import read_density_map
from winnow2d.options import Class2DOptions
from winnow2d.simulation import junk

FIRST_SEED = 700_001  # the score was fitted to sets below 100,000

DEMO = dict(particles=1500, box=64, pixel_size=3.54, micrographs=15, snr=0.4, junk=0.3, diameter=170.0)
CLASSES = dict(nr_classes=20, do_em=True, do_grad=False, nr_iter_em=20, particle_diameter=200.0)


@dataclass(frozen=True)
class SelectionCase:
    """A set by name, what differs from a typical one, and the protein's shape."""

    name: str
    demo: dict[str, Any] = dataclasses.field(default_factory=dict)
    class2d: dict[str, Any] = dataclasses.field(default_factory=dict)
    shape: str = "compact"
    rare_share: float = 0.0
    other_diameter: float = 0.62
    map: Path | None = None

    def plan(self, seed: int) -> SetPlan:
        """Return the plan of this set with a seed."""
        demo = DemoOptions(**DEMO | {"seed": seed} | self.demo)
        class2d = Class2DOptions(**CLASSES | self.class2d)
        return SetPlan(
            seed, demo, self.shape, dict(junk.SHARES), self.other_diameter, self.rare_share, class2d,  # type: ignore[arg-type]
        )  # fmt: skip

    def particles(self, seed: int) -> SimulatedSet:
        """Return its particles."""
        plan = self.plan(seed)
        values, pixel_ang = (None, None) if self.map is None else read_density_map(str(self.map))
        return simulate(plan, VariedSimulation(plan, values, pixel_ang))


_VDAM = dict(do_em=False, do_grad=True, nr_iter_grad=100)
_SMALL = dict(box=48, pixel_size=4.72)
CASES = (
    SelectionCase("typical", dict(symmetry="D2")),
    SelectionCase("asymmetric, small boxes", _SMALL | dict(symmetry="C1", snr=0.6)),
    SelectionCase("elongated", _SMALL | dict(symmetry="C2", snr=0.5), shape="elongated"),
    SelectionCase("flat ring", _SMALL | dict(symmetry="C7", snr=0.6), shape="flat"),
    SelectionCase("hollow", _SMALL | dict(symmetry="D3", snr=0.5), shape="hollow"),
    SelectionCase("preferred views", _SMALL | dict(symmetry="C1", views=4, snr=0.6)),
    SelectionCase("rare view of 2 %", _SMALL | dict(particles=2500, symmetry="D2", views=3, snr=0.6), rare_share=0.02),
    SelectionCase("negative stain", _SMALL | dict(symmetry="C4", snr=2.5, amplitude_contrast=0.25, voltage=120.0)),
    SelectionCase("thick ice", dict(symmetry="D4", snr=0.15)),
    SelectionCase("mostly junk", _SMALL | dict(symmetry="D2", junk=0.6, snr=0.7)),
    SelectionCase("little junk", _SMALL | dict(symmetry="C3", junk=0.08, snr=0.6)),
    SelectionCase("VDAM", _SMALL | dict(symmetry="D2", snr=0.6), _VDAM),
    SelectionCase("badly centred", _SMALL | dict(symmetry="D2", shift=4.5, snr=0.6)),
    SelectionCase("a lot of classes", _SMALL | dict(symmetry="C1", snr=0.8), dict(nr_classes=60)),
)
