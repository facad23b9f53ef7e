"""A classification that another program or project made, and that stands in the place of our first round's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from winnow2d.errors import StarError
from winnow2d.formats.cells import number_of, text_of
from winnow2d.formats.mrc import split_image_name
from winnow2d.formats.named_files import find_named, from_here
from winnow2d.formats.optimiser_star import TABLE
from winnow2d.formats.refinement import read_class_table
from winnow2d.formats.star import read_star

_NAMED = {
    "data": "rlnExperimentalDataStarFile",
    "model": "rlnModelStarFile",
    "sampling": "rlnOrientSamplingStarFile",
}


@dataclass(frozen=True)
class GivenJob:
    """The files of the iteration given, as they are called from the working directory, and the mask's diameter."""

    optimiser: str
    data: str
    model: str
    sampling: str
    classes: str
    particle_diameter_ang: float  # 0 where the job had none: its box then

    def file(self, name: str) -> str:
        """Return the file that another iteration has under a name such as "model.star"."""
        return str(getattr(self, name.partition(".")[0]))


def given_job(optimiser: str) -> GivenJob:
    """Return the files of a classification from its optimiser file, ours or one of RELION 3.1 to 5.

    Of the tables only the optimiser's is read, so that it may be asked for again and again.

    Parameters
    ----------
    optimiser : str
        Path of run_itNNN_optimiser.star, relative to the working directory or absolute.

    Raises
    ------
    StarError
        It is missing or no optimiser file, nothing has been classified by then, or files it names are missing; all
        of these together.
    """
    path = Path(optimiser)
    if not path.is_file():
        raise StarError(f"{path} does not exist; give the path of a run_itNNN_optimiser.star of a Class2D job")
    general = read_star(path, wanted=lambda name: name == TABLE).get(TABLE)
    if general is None or "rlnCurrentIteration" not in general:
        raise StarError(f"{path} has no rlnCurrentIteration in a table {TABLE}; give a run_itNNN_optimiser.star")
    if number_of(general, "rlnCurrentIteration", where=str(path)) < 1:
        raise StarError(f"{path} is of iteration 0, at which no particle has a class yet; give a later one")
    found: dict[str, Path] = {}
    problems: list[str] = []
    for kind, label in _NAMED.items():
        try:
            found[kind] = find_named(text_of(general, label, where=str(path)), path)
        except StarError as error:
            problems += error.problems
    if "model" in found:
        try:
            found["classes"] = _class_averages(found["model"], path)
        except StarError as error:
            problems += error.problems
    if problems:
        raise StarError(*problems)
    diameter = number_of(general, "rlnParticleDiameter", 0.0, where=str(path))
    names = {kind: from_here(file, path.is_absolute()) for kind, file in found.items()}
    return GivenJob(optimiser, **names, particle_diameter_ang=max(diameter, 0.0))


def _class_averages(model: Path, optimiser: Path) -> Path:
    """Return the stack of class averages: the one called like the model, or else the one that the model names."""
    beside = model.with_name(model.name.replace("_model.star", "_classes.mrcs"))
    if beside != model and beside.is_file():
        return beside
    classes = read_class_table(model)
    name = text_of(classes, "rlnReferenceImage", where=str(model))
    return find_named(split_image_name(name)[1], optimiser)
