"""A Slurm of its own on this machine, for tests: munge, a controller and two nodes, all in one temporary folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
NODES = ("node1", "node2")
# What needs cgroups is left out: processes are tracked by their parents, and memory is looked at once a second.
# cred_expire is also how long a job waits that was put back in the queue.
CONFIG = """\
ClusterName=winnow
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
SlurmctldPort={ports[0]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=1
JobCompType=jobcomp/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd.%n
MailProg=/bin/true
MpiDefault=none
KillWait=2
OverTimeLimit=0
MinJobAge=7200
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
GresTypes=gpu
PropagateResourceLimits=NONE
NodeName={nodes[0]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 RealMemory=64000 Gres=gpu:2
NodeName={nodes[1]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 RealMemory=64000 Gres=gpu:2
PartitionName=main Nodes=ALL Default=YES MaxTime=2880 State=UP
"""
GRES = "".join(f"NodeName={node} Name=gpu File=/dev/{device}\n" for node in NODES for device in ("null", "zero"))
FORMAT = {"id": "%i", "comment": "%k", "state": "%T", "submitted": "%V", "started": "%S", "ended": "%e",
          "memory": "%m", "limit": "%l", "cpus": "%C", "node": "%N", "folder": "%Z"}  # fmt: skip


def missing() -> list[str]:
    """Return what keeps this machine from running a Slurm of its own; nothing if it can."""
    found = [name for name in DAEMONS if shutil.which(name, path=_path()) is None]
    return [*found, *(["root"] if os.geteuid() != 0 else [])]


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _free_ports(number: int) -> list[int]:
    """Return ports that nothing listens to now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(condition: Callable[[], object], seconds: float, what: str, interval: float = 0.1) -> None:
    """Return when a condition holds; fail if it does not in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(interval)


@dataclass
class Cluster:
    """A running Slurm; `environment` is what its commands need."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    _daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self) -> None:
        """Start everything, and wait until both nodes are there."""
        folder, ports = self.folder, _free_ports(3)
        for name in ("munge", "state", "log", "bin", *(f"spool/{node}" for node in NODES)):
            (folder / name).mkdir(parents=True)
        config = CONFIG.format(host=socket.gethostname(), folder=folder, ports=ports, nodes=NODES)
        (folder / "slurm.conf").write_text(config)
        (folder / "gres.conf").write_text(GRES)
        (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        # The plugin takes every SLURM_ variable from the inner srun, and with it where the configuration is.
        srun = folder / "bin/srun"
        real = shutil.which("srun", path=_path())
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {real} "$@"\n')
        srun.chmod(0o755)
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(folder / "bin"), _path()]),
        }
        self._start_munge()
        self.start_controller()
        for node in NODES:
            self._start(node, "slurmd", "-D", "-N", node)
        wait_for(lambda: self.run("sinfo", "-h", "-o", "%t") == "idle", 30, "both nodes idle")

    def _start_munge(self) -> None:
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.folder}/munge/{name}" for option, name in names.items()]
        self._start("munged", "munged", "--foreground", "--force", *options)
        wait_for((self.folder / "munge/socket").exists, 20, "munge answers")

    def start_controller(self) -> None:
        """Start the controller, which finds its jobs where an earlier one left them."""
        self._start("controller", "slurmctld", "-D")

    def _start(self, name: str, *command: str) -> None:
        with open(self.folder / f"log/{name}.out", "a") as out:
            self._daemons[name] = subprocess.Popen(command, env=self.environment, stdout=out, stderr=out)

    def kill_controller(self) -> None:
        """Kill the controller without a word."""
        self._end("controller", signal.SIGKILL)

    def _end(self, name: str, number: int) -> None:
        daemon = self._daemons.pop(name)
        daemon.send_signal(number)
        try:
            daemon.wait(15)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def stop(self) -> None:
        """End every job and every daemon."""
        if "controller" in self._daemons:
            subprocess.run(["scancel", "--signal=KILL", "--full", "--state=RUNNING"],
                           env=self.environment, check=False, timeout=20, capture_output=True)  # fmt: skip
            subprocess.run(["scancel", "--user=root"], env=self.environment, check=False, timeout=20,
                           capture_output=True)  # fmt: skip
            with contextlib.suppress(AssertionError, subprocess.SubprocessError):
                wait_for(lambda: not self.run("squeue", "-h"), 10, "no jobs left")
        for name in reversed(list(self._daemons)):
            self._end(name, signal.SIGTERM)
        for pid in self._left_over():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _left_over(self) -> list[int]:
        """Return the processes of jobs that Slurm lost sight of, as without cgroups it may when a node goes down."""
        mark, found = f"SLURM_CONF={self.folder}/slurm.conf".encode(), []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def run(self, *command: str) -> str:
        """Return what a command of Slurm says."""
        result = subprocess.run(command, env=self.environment, text=True, capture_output=True, check=False, timeout=60)
        return result.stdout.strip()

    def jobs(self, project: Path) -> list[dict[str, str]]:
        """Return the jobs of a project, also those that have ended, in the order of their submission."""
        lines = self.run("squeue", "--states=all", "-h", "-o", "|".join(FORMAT.values())).splitlines()
        found = [dict(zip(FORMAT, line.split("|"), strict=True)) for line in lines]
        return sorted((job for job in found if job["folder"] == str(project)), key=lambda job: int(job["id"]))

    def running(self, project: Path, rule: str) -> str:
        """Return the number of the running job of a rule; empty if there is none."""
        jobs = [job for job in self.jobs(project) if job["state"] == "RUNNING" and f"rule_{rule}" in job["comment"]]
        return jobs[-1]["id"] if jobs else ""


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster, and end it whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="winnow-slurm-"))
    folder.chmod(0o755)
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    except BaseException:
        for log in sorted((folder / "log").glob("*")):
            print(f"---- {log.name}", *log.read_text(errors="replace").splitlines()[-5:], sep="\n")  # noqa: T201
        raise
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
