"""Run the real Snakemake on a small project, and tell afterwards what changed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from conftest import REPOSITORY

DEMO = {
    "input": {"demo": {"particles": 200, "box": 32, "pixel_size": 7.08, "micrographs": 8, "seed": 1}},
    "class2d": {"nr_classes": 3, "do_em": True, "nr_iter_em": 3, "particle_diameter": 200, "psi_sampling": 12},
    # small classes of noisy images may all score badly: a floor keeps the chain going
    "select": {"rank_threshold": 0.1, "select_nr_parts": 100},
    "rounds": [{}, {"class2d": {"nr_classes": 2}}],
}


def command_line(project: Path, config: dict | None, *arguments: str) -> list[str]:
    """Return the command a user would type; the config lies beside the project."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--directory", str(project), "--cores", "2", "--nocolor"]
    if config is not None:
        path = project.parent / f"{project.name}.yaml"
        path.write_text(yaml.safe_dump(config))
        command += ["--configfile", str(path)]
    return [*command, *arguments]


def snakemake(project: Path, config: dict | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Return the finished process; its output holds stdout and stderr together."""
    command = command_line(project, config, *arguments)
    return subprocess.run(
        command, cwd=project.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )


def start(project: Path, config: dict, *arguments: str) -> subprocess.Popen:
    """Return a running process in a process group of its own, to be killed with all it started."""
    command = command_line(project, config, *arguments)
    null = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=project.parent, stdout=null, stderr=null, start_new_session=True)


def finished(project: Path, config: dict, *arguments: str) -> str:
    """Return what Snakemake says of a run that must succeed."""
    result = snakemake(project, config, *arguments)
    assert result.returncode == 0, result.stdout
    return result.stdout


def copy_project(source: Path, target: Path) -> Path:
    """Return a copy with links and times as they are."""
    return Path(shutil.copytree(source, target, symlinks=True))


def fingerprints(project: Path, *folders: str) -> dict[str, tuple[str, int]]:
    """Return checksum and time of every file below these folders, by path in the project."""
    found = {}
    for folder in folders:
        assert (project / folder).is_dir(), f"{folder} is missing"
        for path in sorted((project / folder).rglob("*")):
            if path.is_file() and not path.is_symlink():
                checksum = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path.relative_to(project))] = (checksum, path.stat().st_mtime_ns)
    return found
