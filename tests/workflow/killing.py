"""Kill runs at random moments, and tell what was lost.

`WINNOW_KILLS` says how many kills (50), `WINNOW_KILL_SEED` which moments; every kill stands in the summary.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from workflow.snakemake_runs import command_line, finished, snakemake

KILLS = int(os.environ.get("WINNOW_KILLS", "50"))
SEED = int(os.environ.get("WINNOW_KILL_SEED", "1"))
DEMO = {"particles": 200, "box": 32, "pixel_size": 7.08, "micrographs": 8, "seed": 1}
CLASS2D = {"nr_classes": 3, "do_em": True, "nr_iter_em": 8, "particle_diameter": 200, "psi_sampling": 12}
FLOOR = {"rank_threshold": 0.1, "select_nr_parts": 60}
CHAINS = {
    # between them every rule: cut, joined, continued, rescued, regrouped, cut again, mapped, exported
    "parts": {
        "input": {"demo": DEMO},
        "class2d": CLASS2D,
        "select": FLOOR | {"do_regroup": True, "nr_groups": 2},
        "own": {"splits": 2, "export": "all", "map_to": "Extract/job001/particles.star", "second_chance": True},
        "rounds": [{}, {"own": {"continue_to": 12}}],
    },
    "micrographs": {
        "input": {
            "demo_micrographs": {"particles": 200, "micrographs": 4, "seed": 2, "width": 1024, "height": 1024}
        },
        "class2d": CLASS2D,
        "select": FLOOR,
        "own": {"auto_box": True, "resolution": 20, "reextract": True},
        "rounds": [{}, {"own": {"resolution": 14}}],
    },
    # particles that are ready, and a round that waits for a person
    "by_hand": {
        "input": {"particles": "../source/Extract/job001/particles.star"},
        "class2d": CLASS2D,
        "select": {"do_class_ranker": False},
        "rounds": [{}],
    },
}  # fmt: skip
SHARE = {"parts": 0.4, "micrographs": 0.4, "by_hand": 0.2}  # of all kills
# What tells of times and places, or is made by RELION's order of jobs.
TOLD = re.compile(
    r"(^|/)(provenance\.json|note\.txt|run\.(out|err)|benchmark[^/]*|default_pipeline\.star|job_pipeline\.star"
    r"|winnow_[^/]*|links\.tsv)$|^logs/|^\.|/\."
)
KINDS = ("all", "all", "script", "script", "terminate", "interrupt")


def results(project: Path) -> dict[str, str]:
    """Return the checksum of every file that is a result."""
    found = {}
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if path.is_file() and not TOLD.search(name):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def scripts_of(process: subprocess.Popen) -> list[int]:
    """Return the processes that run our scripts in the session of a Snakemake."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "-s", str(process.pid)], text=True, capture_output=True, check=False
    ).stdout
    return [
        int(line.split()[0]) for line in listed.splitlines() if ".snakemake/scripts/" in line and "bash" not in line
    ]


def strike(process: subprocess.Popen, kind: str) -> str:
    """Kill in one way; return what was hit."""
    hit = scripts_of(process)
    if kind == "all" or (kind in ("script", "terminate") and not hit):
        os.killpg(process.pid, signal.SIGKILL)
        return "Snakemake and all it started, SIGKILL"
    if kind == "interrupt":
        os.kill(process.pid, signal.SIGINT)
        return "Snakemake, SIGINT"
    number = signal.SIGKILL if kind == "script" else signal.SIGTERM
    for pid in hit:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    return f"the script, {number.name}"


def last_iterations(project: Path) -> dict[str, int]:
    """Return the last iteration each classification told of."""
    found = {}
    for path in project.glob("Class2D/job*/run.out"):
        numbers = re.findall(r"^(\d+)/\d+ resolution", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        if numbers:
            found[path.parent.name] = int(numbers[-1])
    return found


def start(project: Path, config: dict) -> subprocess.Popen:
    null = subprocess.DEVNULL
    return subprocess.Popen(
        command_line(project, config), cwd=project.parent, stdout=null, stderr=null, start_new_session=True
    )


def new_project(name: str, folder: Path) -> Path:
    """Return an empty project for a chain, beside the particles it starts from if it makes none."""
    if name == "by_hand":
        (folder / "source").mkdir()
        finished(folder / "source", {"input": {"demo": DEMO}}, "--until", "simulate")
    project = folder / name
    project.mkdir()
    return project


def unbroken_runs(new_folder: Callable[[str], Path]) -> Callable[[str], dict[str, str]]:
    """Return what gives, for a chain, the results of an unbroken run."""

    @cache
    def of(name: str) -> dict[str, str]:
        project = new_project(name, new_folder("unbroken"))
        finished(project, CHAINS[name])
        return results(project)

    return of


def kill_until_finished(project: Path, config: dict, rng: np.random.Generator, told: list[str], kills: int) -> None:
    """Start and kill a run again and again until it finishes, or all kills are spent; then let it finish."""
    while len(told) < kills:
        process = start(project, config)
        time.sleep(float(rng.uniform(1.5, 4.0)))
        if process.poll() is not None and process.returncode == 0:
            break
        before, kind = last_iterations(project), str(rng.choice(KINDS))
        hit = strike(process, kind) if process.poll() is None else ""  # it had ended by itself
        process.wait(timeout=120)
        if hit:
            told.append(f"{project.name}: {hit}; iterations done {before}")
            unlocked = snakemake(project, config, "--unlock")
            assert unlocked.returncode == 0, unlocked.stdout
    finished(project, config)


def largest_loss(project: Path) -> int:
    """Return how many iterations were done twice at most after any one kill, over all classifications."""
    lost = 0
    for path in project.glob("Class2D/job*/run.out"):
        last = 0
        for line in path.read_text(encoding="utf-8").splitlines():
            done, going = re.match(r"(\d+)/\d+ resolution", line), re.match(r"Going on after iteration (\d+)$", line)
            if going:
                lost = max(lost, last - int(going[1]))
            elif done:
                if int(done[1]) == 1:  # began anew: all that was done is lost
                    lost = max(lost, last)
                last = int(done[1])
    return lost


def kill_at_random(
    name: str, unbroken: Callable[[str], dict[str, str]], new_folder: Callable[[str], Path]
) -> list[str]:
    """Kill runs of a chain at random moments until all kills are spent; return what was hit, with a head line.

    Every run ends with the results of an unbroken one, and no kill costs more than one iteration.
    """
    kills = round(KILLS * SHARE[name])
    rng, told, losses = np.random.default_rng([SEED, len(name)]), list[str](), list[int]()
    while len(told) < kills:
        project = new_project(name, new_folder("killed"))  # as deep as the others: commands stand in files
        kill_until_finished(project, CHAINS[name], rng, told, kills)
        assert results(project) == unbroken(name), told
        losses.append(largest_loss(project))
        shutil.rmtree(project)
    assert max(losses) <= 1
    return [f"{len(told)} kills in {len(losses)} runs; iterations lost at most: {max(losses)}; all bytes equal", *told]
