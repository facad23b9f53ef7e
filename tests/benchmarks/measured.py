"""Run one command and say what it used: python -I -S measured.py REPORT.json N_CORES COMMAND...

A process of its own, and only of the standard library: the kernel counts the memory of whoever starts a
program as the program's own peak, so the starter has to be small.
"""

import json
import os
import select
import sys
import time

POLL_S = 0.1


def own_memory_kb(pid):
    """Return the memory of a process that is no file's, in kB; 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith("RssAnon:")), 0)
    except OSError:
        return 0


def measure(command, n_cores):
    """Return exit status, CPU s (user and system), wall s, and peaks of memory in MB of a command on so many cores.

    `peak_mb` is the kernel's (with mapped files), `own_peak_mb` what was seen, ten times a second, of memory
    that is no file's.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_cores])
    began, own_kb = time.monotonic(), 0
    pid = os.posix_spawnp(command[0], command, os.environ)
    ended = os.pidfd_open(pid)
    while not select.select([ended], [], [], POLL_S)[0]:
        own_kb = max(own_kb, own_memory_kb(pid))
    wall = time.monotonic() - began
    _, status, usage = os.wait4(pid, 0)
    return {
        "exit_status": os.waitstatus_to_exitcode(status),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": wall,
        "peak_mb": usage.ru_maxrss / 1024,
        "own_peak_mb": own_kb / 1024,
    }


if __name__ == "__main__":
    measures = measure(sys.argv[3:], int(sys.argv[2]))
    with open(sys.argv[1], "w", encoding="ascii") as report:
        json.dump(measures, report)
