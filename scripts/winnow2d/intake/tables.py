"""Checks of data_optics and data_particles that need no image: columns, numbers, names, optics groups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from winnow2d.formats.particles import ParticleTable
from winnow2d.intake.findings import Findings, name_rows, name_some, numbers
from winnow2d.intake.optics import CTF_OF_OPTICS, check_optics

# columns the engine computes with: a cell that is no finite number would silently become 0 in RELION
_PARTICLE_NUMBERS = (
    "rlnDefocusU",
    "rlnDefocusV",
    "rlnDefocusAngle",
    "rlnPhaseShift",
    "rlnCtfBfactor",
    "rlnCtfScalefactor",
    "rlnAnglePsi",
    "rlnOriginXAngst",
    "rlnOriginYAngst",
    "rlnClassNumber",
    "rlnNormCorrection",
)


def without_unused_optics(table: ParticleTable, source: str, findings: Findings) -> ParticleTable:
    """Return the table without optics groups that no particle belongs to, as a subset of a file leaves them."""
    if "rlnOpticsGroup" not in table.optics or "rlnOpticsGroup" not in table.particles:
        return table
    is_used = np.isin(numbers(table.optics["rlnOpticsGroup"]), numbers(table.particles["rlnOpticsGroup"]))
    if is_used.all() or not is_used.any():
        return table
    unused = ", ".join(table.optics["rlnOpticsGroup"].to_numpy()[~is_used])
    findings.warn(f"{source}: data_optics: no particle belongs to optics group {unused}; dropped from the table.")
    return ParticleTable(table.optics[is_used].reset_index(drop=True), table.particles)


def numbered_from_one(table: ParticleTable) -> ParticleTable:
    """Return the table with its optics groups called 1, 2, ... in the order of the rows, as RELION renumbers them."""
    optics, particles = table.optics, table.particles
    new = [str(row + 1) for row in range(len(optics))]
    if list(optics["rlnOpticsGroup"]) == new and particles["rlnOpticsGroup"].isin(new).all():
        return table
    rows = optics_rows(table)
    column = pd.Series(np.array(new, dtype=object)[rows], index=particles.index, dtype=object)
    return ParticleTable(optics.assign(rlnOpticsGroup=new), particles.assign(rlnOpticsGroup=column))


def optics_rows(table: ParticleTable) -> np.ndarray:
    """Return the row of data_optics of each particle (n,); the first row where that cannot be told."""
    if "rlnOpticsGroup" not in table.optics or "rlnOpticsGroup" not in table.particles:
        return np.zeros(len(table.particles), dtype=np.int64)
    known = {number: row for row, number in enumerate(numbers(table.optics["rlnOpticsGroup"]).tolist())}
    groups = numbers(table.particles["rlnOpticsGroup"]).tolist()
    return np.array([known.get(group, 0) for group in groups], dtype=np.int64)


def check_tables(table: ParticleTable, source: str, do_ctf_correction: bool, findings: Findings) -> None:
    """Add to `findings` what is wrong with the two tables themselves.

    Parameters
    ----------
    table : ParticleTable
        Both tables as text, already in the layout with optics groups; an optics table without columns is
        not looked at, as why it could not be made has been told.
    source : str
        The file's name for messages.
    do_ctf_correction : bool
        Whether columns that only a CTF needs are required.
    findings : Findings
        Receives errors and warnings; nothing is raised here.
    """
    if table.particles.empty:
        findings.error(f"{source}: data_particles has no rows, expected at least one particle. Check the selection.")
        return
    check_image_names(table.particles, source, findings)
    _check_each_once(table.particles, source, findings)
    if len(table.optics.columns):
        _check_group_references(table, source, findings)
        check_optics(table.optics, source, findings)
    _check_particle_values(table.particles, source, do_ctf_correction, findings)
    _check_overrides(table, source, findings)
    if "rlnMicrographName" not in table.particles and "rlnGroupName" not in table.particles:
        findings.warn(
            f"{source}: data_particles has no rlnMicrographName; all particles form one intensity group, "
            "and particles cannot be traced back to their micrographs."
        )


def check_image_names(particles: pd.DataFrame, source: str, findings: Findings) -> None:
    """Add to `findings` image names that are missing, broken or count from 0."""
    where = f"{source}: data_particles"
    if "rlnImageName" not in particles:
        findings.error(
            f"{where} has no column rlnImageName, found {name_some(list(particles))}. Extract the particles first."
        )
        return
    names = particles["rlnImageName"]
    parts = names.str.partition("@")
    is_number = parts[0].str.fullmatch(r"\d+").to_numpy(dtype=bool)
    is_broken = ~is_number | (parts[2] == "").to_numpy()
    if is_broken.any():
        first = names.iloc[int(np.argmax(is_broken))]
        findings.error(
            f"{where} {name_rows(is_broken)}: rlnImageName {first!r} is not of the form 000001@stack.mrcs. "
            "Put the particles in stacks."
        )
    index = numbers(parts[0])
    is_zero = ~is_broken & (index == 0)
    if is_zero.any():
        findings.error(
            f"{where} {name_rows(is_zero)}: image index 0 in rlnImageName, expected 1 or more: "
            "the first image of a stack is number 1."
        )


def _check_each_once(particles: pd.DataFrame, source: str, findings: Findings) -> None:
    """Add to `findings` images that stand there twice."""
    if "rlnImageName" not in particles:
        return
    where, names = f"{source}: data_particles", particles["rlnImageName"]
    parts = names.str.partition("@")
    # 1@a and 000001@a are one image though they are two strings; names that are no image are told elsewhere
    image = pd.DataFrame({"index": numbers(parts[0]), "stack": parts[2]})
    is_again = (image.duplicated() & (image["index"] > 0) & (image["stack"] != "")).to_numpy()
    if is_again.any():
        first = int(np.argmax(is_again))
        earlier = int(np.argmax((image == image.iloc[first]).all(axis=1).to_numpy()))
        findings.error(
            f"{where} {name_rows(is_again)}: duplicated image names, {int(is_again.sum())} in all; {names.iloc[first]} "
            f"was already in row {earlier + 1}, expected each image once. Remove the duplicates."
        )


def _check_group_references(table: ParticleTable, source: str, findings: Findings) -> None:
    for name, frame in (("data_optics", table.optics), ("data_particles", table.particles)):
        if "rlnOpticsGroup" not in frame:
            findings.error(f"{source}: {name} has no column rlnOpticsGroup. Export the file with optics groups.")
    if "rlnOpticsGroup" not in table.optics or "rlnOpticsGroup" not in table.particles:
        return
    known = numbers(table.optics["rlnOpticsGroup"])
    used = numbers(table.particles["rlnOpticsGroup"])
    listed = ", ".join(table.optics["rlnOpticsGroup"]) or "none"
    is_unknown = ~np.isin(used, known[np.isfinite(known)])
    if is_unknown.any():
        found = sorted(set(table.particles["rlnOpticsGroup"].to_numpy()[is_unknown]))
        findings.error(
            f"{source}: data_particles {name_rows(is_unknown)}: rlnOpticsGroup {name_some(found)} is not in "
            f"data_optics ({listed}). Re-join the STAR files."
        )
    if len(np.unique(known)) < len(known) or np.isnan(known).any():
        findings.error(
            f"{source}: data_optics: rlnOpticsGroup is {listed}, expected a different whole number in each row. "
            "Number the groups 1, 2, 3 ..."
        )


def _check_particle_values(particles: pd.DataFrame, source: str, do_ctf_correction: bool, findings: Findings) -> None:
    if do_ctf_correction and "rlnDefocusU" not in particles:
        findings.error(
            f"{source}: data_particles has no CTF column rlnDefocusU, expected a defocus in A for every particle. "
            "Estimate the CTF before extraction, or set class2d: {do_ctf_correction: false}."
        )
    for label in _PARTICLE_NUMBERS:
        if label not in particles:
            continue
        is_wrong = np.isnan(numbers(particles[label]))
        if is_wrong.any():
            found = name_some(sorted(set(particles[label].to_numpy()[is_wrong])))
            findings.error(
                f"{source}: data_particles {name_rows(is_wrong)}: {label} is {found}, expected a finite number. "
                "Correct or remove these particles."
            )
    if "rlnNormCorrection" in particles:  # images are divided by it
        is_wrong = numbers(particles["rlnNormCorrection"]) <= 0
        if is_wrong.any():
            found = name_some(sorted(set(particles["rlnNormCorrection"].to_numpy()[is_wrong])))
            findings.error(
                f"{source}: data_particles {name_rows(is_wrong)}: rlnNormCorrection is {found}, expected a number "
                "above 0. Remove these particles, or the column: it is estimated anew."
            )


def _check_overrides(table: ParticleTable, source: str, findings: Findings) -> None:
    """Add particles whose own voltage, aberration or amplitude contrast differs from their optics group's."""
    rows = optics_rows(table)
    for label in CTF_OF_OPTICS:
        if label not in table.particles or label not in table.optics or not len(table.optics):
            continue
        expected, own = numbers(table.optics[label])[rows], numbers(table.particles[label])
        is_other = ~np.isclose(own, expected, rtol=1e-6, atol=1e-6) & np.isfinite(expected)
        if is_other.any():
            found = name_some(sorted(set(table.particles[label].to_numpy()[is_other])))
            says = name_some([f"{value:g}" for value in np.unique(expected[is_other])])
            findings.error(
                f"{source}: data_particles {name_rows(is_other)}: {label} is {found}, but data_optics says {says}; "
                "such particles need an optics group of their own."
            )
