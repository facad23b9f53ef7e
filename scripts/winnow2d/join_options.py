"""The options of RELION's job that joins STAR files; see `options`."""

from __future__ import annotations

from dataclasses import dataclass

from winnow2d.option_fields import RunOptions, option

_OTHER_JOIN = "Winnow joins particles alone; join micrographs and movies in RELION"
_ONLY_MICROGRAPHS, _ONLY_MOVIES = "only with do_mic", "only with do_mov"


@dataclass(frozen=True)
class JoinStarOptions(RunOptions):
    """RELION's job that joins STAR files; its form has room for four of a kind."""

    do_part: bool = option(True, "Combine particle STAR files?", "Particles", relion_default=False)
    fn_part1: str = option("", "Particle STAR file 1", "Particles", is_input=True)
    fn_part2: str = option("", "Particle STAR file 2", "Particles", is_input=True)
    fn_part3: str = option("", "Particle STAR file 3", "Particles", is_input=True)
    fn_part4: str = option("", "Particle STAR file 4", "Particles", is_input=True)
    do_mic: bool = option(False, "Combine micrograph STAR files?", "Micrographs", refused=_OTHER_JOIN)
    fn_mic1: str = option("", "Micrograph STAR file 1", "Micrographs", unused=_ONLY_MICROGRAPHS)
    fn_mic2: str = option("", "Micrograph STAR file 2", "Micrographs", unused=_ONLY_MICROGRAPHS)
    fn_mic3: str = option("", "Micrograph STAR file 3", "Micrographs", unused=_ONLY_MICROGRAPHS)
    fn_mic4: str = option("", "Micrograph STAR file 4", "Micrographs", unused=_ONLY_MICROGRAPHS)
    do_mov: bool = option(False, "Combine movie STAR files?", "Movies", refused=_OTHER_JOIN)
    fn_mov1: str = option("", "Movie STAR file 1", "Movies", unused=_ONLY_MOVIES)
    fn_mov2: str = option("", "Movie STAR file 2", "Movies", unused=_ONLY_MOVIES)
    fn_mov3: str = option("", "Movie STAR file 3", "Movies", unused=_ONLY_MOVIES)
    fn_mov4: str = option("", "Movie STAR file 4", "Movies", unused=_ONLY_MOVIES)

    @property
    def particle_files(self) -> tuple[str, ...]:
        """The particle STAR files that the form names."""
        return tuple(name for name in (self.fn_part1, self.fn_part2, self.fn_part3, self.fn_part4) if name)
