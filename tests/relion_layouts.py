"""Class2D jobs in the layouts of RELION's versions, made of what RELION 5 wrote: where their files differ, they do.

Which labels and tables each version has is known from its files; a version that is installed is rather run itself.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np

from winnow2d.formats.particles import particles_from_table, read_particle_table
from winnow2d.formats.star import read_star

GOLDEN = Path(__file__).parent / "golden" / "relion5"
ONLY_5 = (
    "rlnTomoTomogramsFile", "rlnTomoTrajectoriesFile", "rlnDoBlush", "rlnBlushNoSpectralTrailing", "rlnOffsetRangeX",
    "rlnOffsetRangeY", "rlnOffsetRangeZ",
)  # fmt: skip
SINCE_4 = (
    "rlnDoGradientRefine", "rlnGradEmIters", "rlnGradHasConverged", "rlnGradCurrentStepsize", "rlnGradSubsetOrder",
    "rlnGradSuspendFinerSamplingIter", "rlnGradSuspendLocalSamplingIter", "rlnSgdInitialIterationsFraction",
    "rlnSgdFinalIterationsFraction", "rlnSgdMinimumResolution", "rlnSgdClassInactivityThreshold",
    "rlnSgdStepsizeScheme", "rlnTau2FudgeScheme", "rlnTau2FudgeArg", "rlnMaximumSignificantPoses", "rlnDoAutoSampling",
    "rlnDoCenterClasses",
)  # fmt: skip
ONLY_31 = {
    "rlnDoStochasticEM": 0, "rlnSgdInitialIterations": 50, "rlnSgdFinalIterations": 50,
    "rlnSgdInBetweenIterations": 200, "rlnSgdSigma2FudgeInitial": 8, "rlnSgdSigma2FudgeHalflife": -1,
}  # fmt: skip


def copy_job(project: Path, version: str = "5", job: str = "job002", with_stacks: bool = True) -> str:
    """Copy a job of RELION 5 into a project, in the layout of a version ("3.1", "4.0", "5"); return its directory."""
    if with_stacks:
        shutil.copytree(GOLDEN / "Extract", project / "Extract", dirs_exist_ok=True)
    folder = project / "Class2D" / job
    shutil.copytree(GOLDEN / "Class2D" / job, folder)
    if version == "5":
        return f"Class2D/{job}"
    for path in folder.glob("*.star"):
        text = path.read_text().replace("# version 50001", "# version 30001")
        text = re.sub(r"\b00(\d{6}@)", r"\1", text)  # images are numbered with six digits
        if path.name.endswith("_optimiser.star"):
            number = {"3.1": "3.1.3", "4.0": "4.0.2"}[version]
            text = re.sub(r"^# RELION optimiser; version .*", f"# RELION optimiser; version {number}", text)
            text = without_labels(text, ONLY_5 + (SINCE_4 if version == "3.1" else ()))
            if version == "3.1":
                text = text.rstrip() + "\n" + "".join(f"_{k}    {v}\n" for k, v in ONLY_31.items()) + " \n"
        path.write_text(text)
    if version == "3.1":
        for path in folder.glob("*_model.star"):
            give_noise_to_groups(path)
    return f"Class2D/{job}"


def without_labels(text: str, labels: tuple[str, ...]) -> str:
    """Return the text of a list block without some labels, each of which must be there."""
    for label in labels:
        text, count = re.subn(rf"(?m)^_{label} .*\n", "", text)
        assert count == 1, label
    return text


def give_noise_to_groups(model: Path) -> None:
    """Replace the noise of the optics group by that of each intensity group, which differs; its mean does not."""
    text = model.read_text()
    head, name, _ = text.partition("\n# version 30001\n\ndata_model_optics_group_1\n")
    assert name
    noise = read_star(model)["model_optics_group_1"]
    data = model.with_name(model.name.replace("_model", "_data"))
    particles, _ = particles_from_table(read_particle_table(data))
    counts = np.bincount(particles.group_index)
    factors = 1 + 0.1 * np.cos(np.arange(len(counts)))
    factors /= (counts * factors).sum() / counts.sum()
    parts = [without_labels(head, ("rlnNrOpticsGroups",))]
    for group, factor in enumerate(factors, 1):
        rows = zip(
            noise["rlnSpectralIndex"], noise["rlnResolution"], noise["rlnSigma2Noise"].astype(float), strict=True
        )
        parts.append(f"\n# version 30001\n\ndata_model_group_{group}\n\nloop_ \n_rlnSpectralIndex #1 \n")
        parts.append("_rlnResolution #2 \n_rlnSigma2Noise #3 \n")
        parts += [f"{index} {resolution} {value * factor:.12e} \n" for index, resolution, value in rows]
        parts.append(" \n")
    model.write_text("".join(parts))


def continue_as_ct(project: Path, directory: str, after: int) -> str:
    """Call the iterations beyond one as an old RELION that continued from it did; return the last optimiser file."""
    folder = project / directory
    renamed = {}
    for path in sorted(folder.glob("run_it*")):
        number = int(re.match(r"run_it(\d+)_", path.name)[1])
        if number > after:
            renamed[path.name] = path.name.replace("run_it", f"run_ct{after}_it")
            path.rename(folder / renamed[path.name])
    for path in folder.glob(f"run_ct{after}_*.star"):
        text = path.read_text()
        for old, new in renamed.items():
            text = text.replace(f"/{old}", f"/{new}")
        path.write_text(re.sub(r"(_rlnOutputRootName +\S+/run)\n", rf"\1_ct{after}\n", text))
    return max(f"{directory}/{name}" for name in renamed.values() if name.endswith("_optimiser.star"))
