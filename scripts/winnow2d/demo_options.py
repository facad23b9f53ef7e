"""The options of simulated input: particles ready for classification, or micrographs with what a picker found."""

from __future__ import annotations

from dataclasses import dataclass

from winnow2d.option_fields import option


@dataclass(frozen=True)
class DemoOptions:
    """The simulated particle set of `input: {demo: ...}`."""

    particles: int = option(2000, "Number of particles", "Demo", minimum=20)
    seed: int = option(1, "Seed", "Demo", minimum=0)
    box: int = option(64, "Box size", "Demo", unit="px", minimum=16)
    pixel_size: float = option(3.54, "Pixel size", "Demo", unit="A", minimum=0.1)
    micrographs: int = option(20, "Number of micrographs", "Demo", minimum=1)
    micrographs_star: str = option("", "Micrographs STAR file to take CTFs from", "Demo")
    map: str = option("", "Density map (MRC) instead of a made-up protein", "Demo")
    symmetry: str = option("D2", "Symmetry of the made-up protein (C1, C4, D2 ...)", "Demo")
    diameter: float = option(170.0, "Particle diameter", "Demo", unit="A", minimum=10)
    snr: float = option(0.4, "Signal to noise ratio (power, in the box)", "Demo", minimum=0.001)
    junk: float = option(0.3, "Fraction of particles that are not good", "Demo", minimum=0, maximum=0.95)
    shift: float = option(2.5, "S.d. of the picker's centring error", "Demo", unit="px", minimum=0)
    views: int = option(0, "Number of preferred views (0 = all views alike)", "Demo", minimum=0)
    voltage: float = option(300.0, "Voltage (unless a micrographs STAR file is given)", "Demo", unit="kV", minimum=10)
    spherical_aberration: float = option(2.7, "Spherical aberration (likewise)", "Demo", unit="mm", minimum=0)
    amplitude_contrast: float = option(0.1, "Amplitude contrast (likewise)", "Demo", minimum=0.001, maximum=0.9)


@dataclass(frozen=True)
class DemoMicrographsOptions:
    """The simulated micrographs of `input: {demo_micrographs: ...}`."""

    micrographs: int = option(20, "Number of micrographs", "Demo", minimum=1)
    seed: int = option(1, "Seed", "Demo", minimum=0)
    particles: int = option(2000, "Number of picks, false ones included", "Demo", minimum=20)
    pixel_size: float = option(1.77, "Pixel size", "Demo", unit="A", minimum=0.1)
    width: int = option(1920, "Width of a micrograph", "Demo", unit="px", minimum=128)
    height: int = option(1440, "Height of a micrograph", "Demo", unit="px", minimum=128)
    micrographs_star: str = option("", "Micrographs STAR file to take CTFs from", "Demo")
    map: str = option("", "Density map (MRC) instead of a made-up protein", "Demo")
    symmetry: str = option("D2", "Symmetry of the made-up protein (C1, C4, D2 ...)", "Demo")
    diameter: float = option(170.0, "Particle diameter", "Demo", unit="A", minimum=10)
    snr: float = option(0.1, "Signal to noise ratio (power, in 1.5 x the diameter)", "Demo", minimum=0.001)
    junk: float = option(0.3, "Fraction of picks that are not good", "Demo", minimum=0, maximum=0.95)
    shift: float = option(5.0, "S.d. of the picker's centring error", "Demo", unit="px", minimum=0)
    views: int = option(0, "Number of preferred views (0 = all views alike)", "Demo", minimum=0)
    voltage: float = option(300.0, "Voltage (unless a micrographs STAR file is given)", "Demo", unit="kV", minimum=10)
    spherical_aberration: float = option(2.7, "Spherical aberration (likewise)", "Demo", unit="mm", minimum=0)
    amplitude_contrast: float = option(0.1, "Amplitude contrast (likewise)", "Demo", minimum=0.001, maximum=0.9)
