"""Try a cluster before any long job: python scripts/slurm_check.py, or make slurm-check; docs/slurm.md tells of it.

Commands, versions, partition, account and what a classification asks for are looked at from here. Then one small job
is given to the queue in the way Snakemake does it, and tells from its node what it sees. All problems are told
together, each with what to do; the exit status is 1 if there is any.
"""

import argparse
import getpass
import importlib.metadata
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import yaml

SCRIPTS = Path(__file__).resolve().parent
PROFILE = SCRIPTS.parent / "profiles/slurm/config.yaml"
COMMANDS = ("sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol")
OLDEST = {"snakemake": (9, 19), "snakemake-executor-plugin-slurm": (2, 7, 1)}
PLACE = Path("logs/slurm/check")
MEMORY_MB, TIME_MIN = 8000, 1440  # what a classification of a few 100,000 particles asks for
_SILENT_S = 20  # for an answer of a command


class Findings:
    """What was found, said at once; `problems` are said again at the end."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def good(self, sentence: str) -> None:
        """Say that something is as it should be."""
        sys.stdout.write(f"ok       {sentence}\n")
        sys.stdout.flush()

    def bad(self, sentence: str) -> None:
        """Say a problem, with what to do."""
        self.problems.append(sentence)
        sys.stdout.write(f"PROBLEM  {sentence}\n")
        sys.stdout.flush()


def ask(*command: str) -> tuple[int, str]:
    """Return the exit status of a command and what it says, faults included."""
    try:
        result = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SILENT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return 124, f"no answer in {_SILENT_S} s"
    except OSError as error:
        return 127, str(error)
    return result.returncode, result.stdout.strip()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def check_installed(findings: Findings) -> bool:
    """Look for the commands of Slurm and for packages of the right versions; return whether a job can be given."""
    lacking = [name for name in COMMANDS if shutil.which(name) is None]
    if lacking:
        findings.bad(f"{', '.join(lacking)} not on PATH: run this on a login node, after `module load slurm` if needed")
    else:
        findings.good(f"commands of {ask('sbatch', '--version')[1]}")
    for name, oldest in OLDEST.items():
        wanted = ".".join(map(str, oldest))
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            findings.bad(f"{name} is not installed: {sys.executable} -m pip install '{name}>={wanted}'")
            continue
        if _version(found) < oldest:
            findings.bad(f"{name} is {found}, older than {wanted}: {sys.executable} -m pip install '{name}>={wanted}'")
        else:
            findings.good(f"{name} {found}")
    return not lacking


def check_partition(given: argparse.Namespace, findings: Findings) -> bool:
    """Look whether the partition is there, up, and has GPUs; return whether it is there."""
    chosen = ("--partition", given.partition) if given.partition else ()
    status, said = ask("sinfo", "--noheader", *chosen, "--format", "%R|%a|%l|%c|%m|%G|%D")
    lines = [line.split("|") for line in said.splitlines() if line.count("|") == 6]
    if status or not lines:
        partitions = ask("sinfo", "--noheader", "--format", "%R")[1].split()
        name = given.partition or "the default partition"
        findings.bad(f"{name} is not known to Slurm. There are: {', '.join(partitions) or 'none'}")
        return False
    if not any(state == "up" for _, state, *_ in lines):
        findings.bad(f"partition {lines[0][0]} is {lines[0][1]}, so no job starts there; choose another")
    if given.gpus and not any("gpu" in gres for *_, gres, _ in lines):
        findings.bad(
            f"no node of partition {lines[0][0]} has GPUs (its resources: {lines[0][5]}); choose another partition, or "
            "run without GPUs: GPUS=0 here, --set-resources class2d:gpu=0 for Snakemake"
        )
    for name, state, limit, cores, memory, gres, nodes in lines:
        findings.good(f"partition {name}: {state}, {nodes} nodes of {cores} cores, {memory} MB, {gres}, limit {limit}")
    return True


def check_account(given: argparse.Namespace, findings: Findings) -> None:
    """Look whether the account is one of the user's, where Slurm counts, and how jobs can be watched."""
    if ask("sacct", "--noheader", "--starttime", "now-1hours")[0]:
        findings.good("no accounting here: add --slurm-status-command squeue to the command, or to your profile")
        return
    status, said = ask("sacctmgr", "--noheader", "--parsable2", "show", "assoc", f"user={getpass.getuser()}",
                       "format=account")  # fmt: skip
    accounts = sorted(set(said.split())) if status == 0 else []
    if given.account and accounts and given.account not in accounts:
        findings.bad(f"account {given.account} is not one of yours: {', '.join(accounts)}")
    elif accounts:
        findings.good(f"your accounts: {', '.join(accounts)}")


def request(given: argparse.Namespace, cores: int, memory_mb: int, minutes: int) -> list[str]:
    """Return the options of sbatch for a job, in the way the plugin writes them."""
    options = [f"--cpus-per-task={cores}", f"--mem={memory_mb}", f"--time={minutes}"]
    options += [f"--partition={given.partition}"] if given.partition else []
    options += [f"--account={given.account}"] if given.account else []
    return [*options, f"--gpus={given.gpus}" if given.gpus else "--ntasks=1"]


def check_request(given: argparse.Namespace, findings: Findings) -> None:
    """Ask Slurm whether any node could run a classification."""
    options = request(given, given.threads, MEMORY_MB, TIME_MIN)
    status, said = ask("sbatch", "--test-only", *options, "--wrap", "true")
    if status:
        findings.bad(
            f"Slurm refuses what a classification asks for ({' '.join(options)}): {' '.join(said.split())}. Ask for "
            "less by --max-threads, --set-resources class2d:mem_mb=... class2d:runtime=... (minutes), or take another "
            "partition"
        )
    else:
        findings.good(f"a classification fits: {' '.join(options)}")


def look_around(given: argparse.Namespace) -> None:
    """Write, on the node, what is seen from there."""
    seen = {"host": socket.gethostname(), "python": sys.version.split()[0], "problems": []}
    try:
        sys.path.insert(0, str(SCRIPTS))
        from winnow2d import __version__
        from winnow2d.engine import classify  # noqa: F401 (all that a classification needs)

        seen["version"] = __version__
    except Exception as error:
        seen["problems"].append(f"winnow2d cannot be imported there: {type(error).__name__}: {error}")
    if given.gpus:
        seen["visible"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        try:
            import cupy

            seen["gpus"] = cupy.cuda.runtime.getDeviceCount()
        except Exception as error:
            seen["gpus"] = 0
            seen["gpu_error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    aside = given.answer.with_suffix(".part")
    aside.write_text(json.dumps(seen))
    aside.replace(given.answer)


def try_job(given: argparse.Namespace, findings: Findings) -> None:
    """Give a small job to the queue and tell what it saw; it is cancelled when it does not start in time."""
    place = given.project / PLACE
    place.mkdir(parents=True, exist_ok=True)
    answer = place / f"{uuid.uuid4().hex}.json"
    words = [sys.executable, str(Path(__file__).resolve()), "--answer", str(answer), "--gpus", str(given.gpus)]
    inner = f"srun -n1 --cpus-per-task=1 {shlex.join(words)}"
    options = [
        "--parsable",
        "--export=ALL",
        "--job-name=winnow-check",
        f"--output={place}/%j.log",
        f"--chdir={given.project}",
    ]
    status, said = ask("sbatch", *options, *request(given, 1, 2000, 5), "--wrap", inner)
    number = said.splitlines()[-1].split(";")[0] if said else ""
    if status or not number.isdigit():
        findings.bad(f"a small job was refused: {' '.join(said.split())}")
        return
    began, state = time.monotonic(), "PENDING"
    try:
        while not answer.exists() and time.monotonic() - began < given.wait:
            state = ask("squeue", "--noheader", "--states=all", "--jobs", number, "--format", "%T (%r)")[1] or "gone"
            if state.split(" ")[0] not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"):
                time.sleep(3)  # for the file system
                break
            time.sleep(0.5)
        tell_of_job(given, findings, number, state, answer, place / f"{number}.log")
    finally:
        ask("scancel", number)
        answer.unlink(missing_ok=True)


def tell_of_job(
    given: argparse.Namespace, findings: Findings, number: str, state: str, answer: Path, log: Path
) -> None:
    """Say what the job saw from its node, or why it did not answer."""
    if not answer.exists():
        if state.startswith("PENDING"):
            findings.bad(
                f"job {number} did not start in {given.wait:.0f} s: {state}. Where the queue is only busy, nothing is "
                f"wrong: try again later, or with --wait 600"
            )
            return
        tail = " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "no log"
        findings.bad(
            f"job {number} left no answer in {given.project} ({state}; {tail}). Is that folder, and {sys.executable}, "
            "seen from the nodes? Both must lie on a file system that login node and nodes share"
        )
        return
    seen = json.loads(answer.read_text())
    findings.good(f"job {number} ran on {seen['host']} and wrote into {given.project}; Python {seen['python']}")
    for problem in seen["problems"]:
        findings.bad(problem)
    if "version" in seen:
        findings.good(f"winnow2d {seen['version']} is there")
    if given.gpus and seen["gpus"] < given.gpus:
        findings.bad(
            f"CuPy sees {seen['gpus']} GPUs there, not {given.gpus} (CUDA_VISIBLE_DEVICES="
            f"{seen['visible'] or 'not set'}; {seen.get('gpu_error', 'no error')}). Install it by {sys.executable} "
            "-m pip install cupy-cuda13x (or 12x), or run without GPUs: GPUS=0 here, --set-resources class2d:gpu=0 for "
            "Snakemake"
        )
    elif given.gpus:
        findings.good(f"CuPy sees {seen['gpus']} GPUs there (CUDA_VISIBLE_DEVICES={seen['visible']})")


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--project", type=Path, default=Path(), help="where a project will lie; default: here")
    parser.add_argument("--partition", default="", help="default: Slurm's")
    parser.add_argument("--account", default="", help="default: Slurm's")
    parser.add_argument("--gpus", type=int, default=1, help="of a classification; 0 for none")
    parser.add_argument("--threads", type=int, default=yaml.safe_load(PROFILE.read_text())["max-threads"])
    parser.add_argument("--wait", type=float, default=40.0, help="seconds for the job to start and to answer")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)  # this is the job
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Try everything; return the exit status."""
    given = read_arguments(arguments)
    if given.answer:
        look_around(given)
        return 0
    given.project = given.project.resolve()
    findings = Findings()
    if check_installed(findings):
        status, said = ask("scontrol", "ping")
        if status or "UP" not in said:
            findings.bad(f"the controller does not answer: {said}")
        elif check_partition(given, findings):
            check_account(given, findings)
            check_request(given, findings)
            try_job(given, findings)
    n_problems = len(findings.problems)
    sys.stdout.write(f"\n{n_problems} problems\n" if n_problems else "\nReady: docs/slurm.md has the command.\n")
    return min(1, n_problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
