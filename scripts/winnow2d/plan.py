"""Which jobs a run has, which file each starts from and which it writes: computed from the config, never counted.

The block of a round are the jobs of one classification and of what follows it: Class2D/job{block}1,
Select/job{block}2 and so on, where the block's name is the number of the round, two digits. A first round that is
classified in parts has a block for each: part s, counted from 0, is called 10 s + 1, so that its jobs have the
numbers of the first part plus 100 s. Adding a round or a particle file changes none of the other numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from winnow2d.config import Round
from winnow2d.extraction.asked import SIMULATED, rounds_of_other_box
from winnow2d.formats.overrides import path_of
from winnow2d.input_plan import InputPlan

CLEAN = "Select/clean"
PAGE = "report/index.html"
MAPPED = "Select/job008/particles.star"  # where another extraction is to be mapped to
REEXTRACTED = "Extract/job009/particles.star"
JOINED = "JoinStar/job017/join_particles.star"
PICKED_TRUTH = f"{SIMULATED}/truth.star"  # of simulated micrographs


@dataclass(frozen=True)
class Block:
    """The jobs of one classification: those of a round, or of one part of the first round."""

    round: Round
    part: int = 0  # counted from 0

    @property
    def name(self) -> str:
        """What stands between the job type and the last digit in the paths of its jobs, and in its report folder."""
        return f"{10 * self.part + self.round.number:02d}"

    def job(self, kind: str, digit: int) -> str:
        """Return the directory of one of its jobs."""
        return f"{kind}/job{self.name}{digit}"

    def classified_again(self, name: str) -> str:
        """Return a file of the last iteration of its rejected particles, see `Plan.last_iteration`."""
        return f"{self.job('Class2D', 5)}/run_it{self.round.class2d.n_iterations:03d}_{name}"

    @property
    def chosen(self) -> str:
        """The particles it keeps, and those that come back in their second chance, before they may be regrouped."""
        return f"{self.job('Select', 6 if self.round.own.second_chance else 2)}/particles.star"


@dataclass(frozen=True)
class Plan(InputPlan):
    """The jobs of a run."""

    overridden: frozenset[str] = frozenset()  # names of blocks of which a person has said something

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every block, in the order of the rounds."""
        first = tuple(Block(self.config.rounds[0], part) for part in range(self.n_parts))
        return (*first, *map(Block, self.config.rounds[1:]))

    @cached_property
    def undecided(self) -> tuple[Block, ...]:
        """The blocks at which the run stops: to be chosen from by hand, by somebody who has not said anything yet.

        They are all of one round. Nothing of the rounds after it can be made before.
        """
        waiting = [block for block in self.blocks if block.round.is_by_hand and not self._is_decided(block)]
        return tuple(block for block in waiting if block.round.number == waiting[0].round.number)

    def _is_decided(self, block: Block) -> bool:
        return bool(block.round.own.selected_classes) or block.name in self.overridden

    @cached_property
    def decided(self) -> tuple[Block, ...]:
        """The blocks whose particles can be selected, in their order."""
        if not self.undecided:
            return self.blocks
        last = self.undecided[0].round.number
        return tuple(block for block in self.blocks if block.round.number <= last and block not in self.undecided)

    @property
    def shown(self) -> tuple[Block, ...]:
        """The blocks that the page shows: those that are classified in this run."""
        return tuple(block for block in self.blocks if block in self.decided or block in self.undecided)

    def class_ledger(self, block: Block) -> str:
        """Return what is said of the classes of a block: the decisions, or the proposal where they are to be made."""
        return f"report/round_{block.name}/{'proposal' if block in self.undecided else 'classes'}.tsv"

    @property
    def ends(self) -> list[str]:
        """What the run makes in the end, the page and single jobs apart; nothing before every choice is made."""
        if self.undecided:
            return []
        own = self.config.own
        ends = [CLEAN, *([REEXTRACTED] if own.reextract else []), *([MAPPED] if own.map_to else [])]
        return [*ends, *self.exported.values()]

    @property
    def given_overrides(self) -> list[tuple[str, bool, int | None]]:
        """The overrides files, each with whether its round chooses by itself and its number of classes, if known."""
        return [
            (path, not block.round.is_by_hand or bool(block.round.own.selected_classes), self._n_classes(block))
            for block in self.blocks
            for path in self.overrides(block)
        ]

    def _n_classes(self, block: Block) -> int | None:
        return None if self.is_given(block) or block.round.class2d.fn_cont else block.round.class2d.nr_classes

    def overrides(self, block: Block) -> list[str]:
        """Return the file in which a person said something of a block's classes, where there is one."""
        return [path_of(block.name)] if block.name in self.overridden else []

    def selection_file(self, block: Block) -> list[str]:
        """Return the file of RELION's display that chooses a block's classes, where the config names one."""
        named = block.round.own.selected_classes
        return [named] if named.endswith(".star") else []

    @cached_property
    def block_named(self) -> dict[str, Block]:
        """The blocks by their names."""
        return {block.name: block for block in self.blocks}

    @property
    def classified(self) -> list[str]:
        """The names of blocks whose classification is a job of ours."""
        return [block.name for block in self.blocks if not self.is_given(block)]

    @property
    def regrouped(self) -> list[str]:
        """The names of blocks whose kept particles are regrouped."""
        return [block.name for block in self.blocks if block.round.regroup]

    @property
    def second_chances(self) -> list[str]:
        """The names of blocks whose rejected particles get a second chance."""
        return [block.name for block in self.decided if block.round.own.second_chance]

    @cached_property
    def boxed(self) -> list[str]:
        """The names of blocks whose images are made anew before they are classified."""
        return [block.name for block in self.blocks if block.round.number in rounds_of_other_box(self.config)]

    def is_given(self, block: Block) -> bool:
        """Return whether the classification of a block is the one given (input: {optimiser: ...})."""
        return self.given is not None and block.round.number == 1

    def before(self, block: Block) -> str:
        """Return the particles a block starts from, before they may get images of another box."""
        if block.round.number > 1:
            return self.kept_particles(block.round.number - 1)
        source, split = divmod(block.part, self.n_splits)
        return self.entered(source) if self.n_splits == 1 else self.splits_of(source)[split]

    def entering(self, block: Block) -> str:
        """Return the particles a block classifies."""
        return f"{block.job('Extract', 8)}/particles.star" if block.name in self.boxed else self.before(block)

    @property
    def continued(self) -> list[str]:
        """The names of blocks whose classification goes on in a second job if it has not converged."""
        return [block.name for block in self.blocks if self.is_continued(block)]

    def is_continued(self, block: Block) -> bool:
        """Return whether a block has such a second job."""
        return bool(block.round.own.continue_to) and not self.is_given(block)

    def last_iteration(self, block: Block, name: str) -> str:
        """Return a file of the last iteration of a block's classification, called for example "model.star"."""
        if self.is_continued(block):
            return f"{block.job('Class2D', 4)}/run_it{block.round.own.continue_to:03d}_{name}"
        return self.first_classification(block, name)

    def first_classification(self, block: Block, name: str) -> str:
        """Return a file of the last iteration before a block's classification may be continued."""
        if self.given and self.is_given(block):
            return self.given.file(name)
        return f"{block.job('Class2D', 1)}/run_it{block.round.class2d.n_iterations:03d}_{name}"

    def may_stop_after(self, block: Block) -> list[Block]:
        """Return the rounds after which a block may be passed on without work: that before it, and the one before.

        None where it has nothing to pass on: another box, a choice by hand, or several classifications before it.
        """
        own, number = self.config.own, block.round.number
        is_asked = own.stop_share < 1 or own.stop_unimproved
        if not is_asked or number == 1 or block.name in self.boxed or block.round.is_by_hand:
            return []
        before = [one for one in self.blocks if one.round.number == number - 1]
        earlier = [one for one in self.blocks if one.round.number == number - 2]
        if len(before) != 1 or self.is_given(before[0]):
            return []
        return [*before, *(earlier if len(earlier) == 1 else [])]

    def figures(self, block: Block) -> str:
        """Return what says what a block came to."""
        return f"report/round_{block.name}/figures.tsv"

    def of_all_blocks(self, name: str) -> list[str]:
        """Return that file of every block that the page shows."""
        return [self.last_iteration(block, name) for block in self.shown]

    def selected(self, block: Block) -> str:
        """Return the particles a block ends with."""
        return f"{block.job('Select', 3)}/particles.star" if block.round.regroup else block.chosen

    def selected_of_parts(self) -> list[str]:
        """Return what the parts of the first round end with."""
        return [self.selected(block) for block in self.blocks if block.round.number == 1]

    def kept_particles(self, number: int) -> str:
        """Return the particles a round ends with."""
        if number == 1 and self.n_parts > 1:
            return JOINED
        return self.selected(next(block for block in self.blocks if block.round.number == number))

    @property
    def final_particles(self) -> str:
        """The particles that all rounds, and the mapping, end with."""
        return MAPPED if self.config.own.map_to else self.kept_particles(len(self.config.rounds))

    @property
    def truths(self) -> list[str]:
        """The truth about simulated particles as they entered, and as they were called when made anew."""
        return [self.truth, *(f"Extract/job{name}8/truth.star" for name in self.boxed)] if self.is_simulated else []

    @cached_property
    def jobs(self) -> list[str]:
        """The directory of every job."""
        jobs = [] if self.given else [f"Extract/job{source}01" for source in range(self.n_sources)]
        jobs += [f"Select/job{source}10" for source in range(self.n_sources)] if self.n_splits > 1 else []
        jobs += [f"Extract/job{name}8" for name in self.boxed]
        jobs += ["Extract/job009"] if self.config.own.reextract else []
        jobs += [f"Class2D/job{name}1" for name in self.classified]
        jobs += [f"Class2D/job{name}4" for name in self.continued]
        for block in self.blocks:
            jobs += [block.job("Select", 2), *([block.job("Select", 3)] if block.round.regroup else [])]
            jobs += [block.job("Class2D", 5), block.job("Select", 6)] if block.round.own.second_chance else []
        jobs += ["JoinStar/job017"] if self.n_parts > 1 else []
        jobs += ["Select/job008"] if self.config.own.map_to else []
        return jobs

    @property
    def named_files(self) -> list[tuple[str, str, str]]:
        """Files the config names: key, path, and the job that reads it; what a job of ours makes is left out."""
        config = self.config
        named = [("input.particles", path, f"Extract/job{i}01") for i, path in enumerate(config.particles)]
        if config.micrographs and not config.micrographs.demo:
            named.append(("input.micrographs", config.micrographs.micrographs, "Extract/job001"))
            named += [("input.coordinates", path, "Extract/job001") for path in self.coordinates]
        for block in self.blocks:
            named += [("own.selected_classes", path, block.job("Select", 2)) for path in self.selection_file(block)]
        if config.own.map_to and config.own.map_to.rpartition("/")[0] not in self.jobs:
            named.append(("own.map_to", config.own.map_to, "Select/job008"))
        return named
