"""What enters a run and what leaves it: the part of a plan that does not depend on rounds."""

from __future__ import annotations

from dataclasses import dataclass

from winnow2d.config import Config
from winnow2d.formats.coordinates import is_pattern
from winnow2d.formats.given_job import GivenJob


@dataclass(frozen=True)
class InputPlan:
    """The files of a run's input, and where they enter."""

    config: Config
    given: GivenJob | None = None  # stands in the place of the first round's classification

    @property
    def n_sources(self) -> int:
        """How many files of particles enter, each as a job of its own."""
        return max(1, len(self.config.particles))

    @property
    def n_splits(self) -> int:
        """How many parts each of them is classified in, in the first round."""
        return self.config.own.splits

    @property
    def n_parts(self) -> int:
        """How many classifications the first round has."""
        return self.n_sources * self.n_splits

    def entered(self, source: int = 0) -> str:
        """Return the particles as they entered: a file of the input, or the classification given."""
        return self.given.data if self.given else f"Extract/job{source}01/particles.star"

    @property
    def all_entered(self) -> list[str]:
        """The particles as they entered, of every file of the input."""
        return [self.entered(source) for source in range(self.n_sources)]

    def splits_of(self, source: int) -> list[str]:
        """Return the files that the particles of one input file are split into."""
        return [f"Select/job{source}10/particles_split{number + 1}.star" for number in range(self.n_splits)]

    @property
    def is_simulated(self) -> bool:
        """Whether the truth about the particles is known."""
        return bool(self.config.demo or (self.config.micrographs and self.config.micrographs.demo))

    @property
    def truth(self) -> str:
        """The truth about simulated particles."""
        return "Extract/job001/truth.star"

    @property
    def micrographs(self) -> str:
        """The micrographs STAR file; empty if none is known."""
        found = self.config.micrographs
        return found.micrographs if found else self.config.own.reextract_micrographs

    @property
    def coordinates(self) -> list[str]:
        """Coordinates that are one file; a pattern is no input of a rule."""
        found = self.config.micrographs
        return [found.coordinates] if found and not is_pattern(found.coordinates) else []

    @property
    def exported(self) -> dict[str, str]:
        """The particle files to be written for other programs, by program."""
        wanted = self.config.own.export
        return {one: f"export/{one}/particles.star" for one in ("relion", "cryosparc") if wanted in (one, "all")}
