"""What is measured: the particle sets, the ways of running them, and figures recorded elsewhere. Edit here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winnow2d.demo_options import DemoOptions
from winnow2d.errors import ConfigError
from winnow2d.options import OwnOptions


@dataclass(frozen=True)
class ParticleSet:
    """A particle set and how it is classified.

    Attributes
    ----------
    name : str, also the name of its folder
    n_classes : int; diameter_ang : float, of the mask
    demo : DemoOptions, to simulate it, or None
    folder, symmetry : of a set brought in, with particles.star and truth.npz
    """

    name: str
    n_classes: int
    diameter_ang: float
    demo: DemoOptions | None = None
    folder: Path | None = None
    own_symmetry: str = ""

    @property
    def symmetry(self) -> str:
        return self.own_symmetry if self.demo is None else self.demo.symmetry


@dataclass(frozen=True)
class Mode:
    """Options of a job that differ from the defaults; `n_iterations` of EM or of mini-batches."""

    name: str
    is_em: bool
    n_iterations: int
    class2d: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)


def _set(name: str, n_classes: int, diameter_ang: float, **demo: Any) -> ParticleSet:
    return ParticleSet(name, n_classes, diameter_ang, DemoOptions(seed=3, **demo))


# name, classes, mask (A), then what differs from DemoOptions: 64 px of 3.54 A, D2, 170 A, SNR 0.4, 30 % junk
_SETS = (
    _set("d2", 30, 200, particles=3000, micrographs=24),
    _set("c1", 15, 200, particles=1500, micrographs=12, box=48, pixel_size=4.72, symmetry="C1", snr=1.2),
    _set("tutorial", 100, 200, particles=10_000, micrographs=40),
    _set("k200", 200, 200, particles=6000, micrographs=30),
    _set("box128", 30, 200, particles=2000, micrographs=16, box=128, pixel_size=1.77, snr=0.2),
    _set("off-centre", 30, 200, particles=3000, micrographs=24, shift=5.0),
    _set("views", 30, 200, particles=3000, micrographs=24, views=4),
    _set("tiny", 4, 200, particles=200, micrographs=4, box=32, pixel_size=7.08),  # to try the benchmark itself
)
SETS = {each.name: each for each in _SETS}
DEFAULT_SETS = ("d2", "c1")

_MODES = (
    Mode("em", True, 25),
    Mode("vdam", False, 100),
    Mode("vdam-relion", False, 100, own={"compatibility": "relion"}),
    Mode("vdam-quick", False, 50, own={"preset": "quick"}),
)
MODES = {each.name: each for each in _MODES}

# The peer: expectation maximisation of Debian's RELION 3.1.3, which has neither VDAM nor --center_classes.
PEER_OPTIONS = (
    "--ctf --tau2_fudge 2 --flatten_solvent --zero_mask --oversampling 1 --psi_step 12 --offset_range 5 "
    "--offset_step 2 --norm --scale --pad 2 --dont_combine_weights_via_disc --preread_images --pool 30"
)


@dataclass(frozen=True)
class Recorded:
    """A run of another program on a set of this name and size, on two cores of another machine.

    `machine_s` is what three iterations of the peer took there on the same set, to carry `cpu_s` over.
    """

    set_name: str
    n_particles: int
    program: str
    mode: str  # ours it compares with
    cpu_s: float
    machine_s: float | None
    figures: tuple[float, ...]  # auc, purity, precision, recall, view_deg, view_random_deg, psi_deg


# Source: reference runs with RELION 5.0.1, built with -O3 -march=native and run with --cpu.
_VDAM, _EM = "RELION 5.0.1 VDAM 100", "RELION 5.0.1 EM 25"
RECORDED = (
    Recorded("b0", 3000, f"{_VDAM}, seed 1", "vdam", 1300, 724, (0.910, 0.914, 0.920, 0.966, 24.1, 44.5, 3.8)),
    Recorded("b0", 3000, f"{_VDAM}, seed 2", "vdam", 1363, 724, (0.916, 0.915, 0.928, 0.958, 25.1, 44.5, 3.9)),
    Recorded("b0", 3000, _EM, "em", 1782, 724, (0.898, 0.923, 0.935, 0.960, 32.1, 44.5, 6.0)),
    Recorded("m1", 1500, _VDAM, "vdam", 587, None, (0.872, 0.896, 0.885, 0.986, 57.4, 89.3, 3.2)),
    Recorded("m2", 1500, _VDAM, "vdam", 539, None, (0.937, 0.948, 0.939, 0.993, 67.4, 89.2, 2.8)),
)


def find_set(text: str) -> ParticleSet:
    """Return the set of a name, or of a folder given as PATH:CLASSES:MASK_ANG:SYMMETRY.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if text in SETS:
        return SETS[text]
    parts = text.rsplit(":", 3)
    if len(parts) == 4:
        try:
            folder = Path(parts[0]).resolve()
            return ParticleSet(folder.name, int(parts[1]), float(parts[2]), None, folder, parts[3])
        except ValueError:
            pass
    raise ConfigError(f"set '{text}': expected {', '.join(SETS)}, or PATH:CLASSES:MASK_ANG:SYMMETRY")


def find_mode(text: str) -> Mode:
    """Return the mode of a name, with any options appended: em,nr_iter_em=5,own.device=gpu.

    Raises
    ------
    ConfigError
        There is no such mode.
    """
    name, *changes = text.split(",")
    if name not in MODES or not all("=" in change for change in changes):
        raise ConfigError(f"mode '{text}': expected {', '.join(MODES)}, each maybe with ,option=value appended")
    mode, class2d, own = MODES[name], {}, {}
    for change in changes:
        option, value = change.split("=", 1)
        section = own if option.startswith("own.") else class2d
        section[option.removeprefix("own.")] = value
    own, class2d = {**mode.own, **own}, {**mode.class2d, **class2d}
    n_iterations = int(class2d.pop("nr_iter_em" if mode.is_em else "nr_iter_grad", mode.n_iterations))
    return Mode(text, mode.is_em, n_iterations, class2d, own)


def unknown_options(mode: Mode) -> list[str]:
    """Return the options of a mode that this version does not have: versions are compared with each other."""
    known = {item.name for item in dataclasses.fields(OwnOptions)}
    return [f"own.{name}" for name in mode.own if name not in known]


def option_values(particle_set: ParticleSet, mode: Mode) -> dict[str, Any]:
    """Return the options of the classification, all that differ from their defaults."""
    algorithm = {"do_em": mode.is_em, "do_grad": not mode.is_em}
    iterations = {"nr_iter_em" if mode.is_em else "nr_iter_grad": mode.n_iterations}
    size = {"nr_classes": particle_set.n_classes, "particle_diameter": particle_set.diameter_ang}
    return {**algorithm, **iterations, **size, **mode.class2d}


def peer_command(program: str, particle_set: ParticleSet, n_iterations: int, n_cores: int) -> list[str]:
    """Return the command of the peer, to be run in the project."""
    own = f"--K {particle_set.n_classes} --particle_diameter {particle_set.diameter_ang:g} --iter {n_iterations}"
    where = f"--i particles.star --o peer/run --j {n_cores} --random_seed 1"
    return [program, *f"{where} {own} {PEER_OPTIONS}".split()]
