import json
import os
import socket
import subprocess
import threading
import time

import pytest

from winnow2d import joblock
from winnow2d.errors import JobError
from winnow2d.formats import jobs, project
from winnow2d.formats.pipeline_star import PIPELINE, read_pipeline


def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def write_lock(directory, **holder):
    lock = directory / joblock.LOCK
    lock.write_text(json.dumps({"token": "theirs"} | holder))
    return lock


def test_living_job_keeps_the_second_out(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    first = joblock.JobLock(tmp_path)
    first.acquire()
    with pytest.raises(JobError, match=rf"process {os.getpid()} on {socket.gethostname()}, queue job 4711"):
        joblock.JobLock(tmp_path).acquire()
    assert joblock.is_held(tmp_path)
    first.release()
    assert os.listdir(tmp_path) == []
    joblock.JobLock(tmp_path).acquire()


def test_dead_process_of_this_machine_is_taken_over_at_once(tmp_path):
    write_lock(tmp_path, host=socket.gethostname(), pid=dead_pid())
    assert not joblock.is_held(tmp_path)
    lock = joblock.JobLock(tmp_path)
    lock.acquire()
    assert json.loads(lock.path.read_text())["pid"] == os.getpid()
    lock.release()


def test_number_of_a_dead_process_given_to_another_is_seen(tmp_path):
    write_lock(tmp_path, host=socket.gethostname(), pid=os.getpid(), birth="1")
    assert not joblock.is_held(tmp_path)
    write_lock(tmp_path, host=socket.gethostname(), pid=os.getpid())
    assert joblock.is_held(tmp_path)


def test_other_machine_lives_by_its_heartbeat(tmp_path, monkeypatch):
    monkeypatch.setattr(joblock, "_LOOK_S", 0.01)
    lock = write_lock(tmp_path, host="elsewhere", pid=1)
    beat = threading.Timer(0.2, lambda: os.utime(lock))
    beat.start()
    with pytest.raises(JobError, match="elsewhere"):
        joblock.JobLock(tmp_path).acquire()
    beat.join()
    long_ago = lock.stat().st_mtime - joblock.SILENCE_S - 5
    os.utime(lock, (long_ago, long_ago))
    taken = joblock.JobLock(tmp_path)
    taken.acquire()
    taken.release()
    assert os.listdir(tmp_path) == []


def test_a_job_started_again_waits_until_its_dead_predecessor_has_been_silent(tmp_path, monkeypatch):
    """Of another machine nobody can tell at once whether a process died; the queue starts the next one at once."""
    monkeypatch.setattr(joblock, "SILENCE_S", 0.5)
    monkeypatch.setattr(joblock, "_LOOK_S", 0.01)
    write_lock(tmp_path, host="elsewhere", pid=1, queue_job="12")
    began = time.monotonic()
    lock = joblock.JobLock(tmp_path)
    lock.acquire()
    assert 0.3 < time.monotonic() - began < 30
    lock.release()


def test_a_job_the_queue_put_back_is_its_own_predecessor(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    lock = write_lock(tmp_path, host="elsewhere", pid=1, queue_job="12", restarts=0)
    assert joblock.is_held(tmp_path)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert not joblock.is_held(tmp_path)
    joblock.JobLock(tmp_path).acquire()  # without waiting
    held = json.loads(lock.read_text())
    assert (held["queue_job"], held["restarts"]) == ("12", 1)


def test_a_process_that_ended_and_was_not_asked_how_holds_nothing(tmp_path):
    process = subprocess.Popen(["sleep", "60"])
    write_lock(tmp_path, host=socket.gethostname(), pid=process.pid, birth=joblock._birth(process.pid))
    assert joblock.is_held(tmp_path)
    process.kill()
    for _ in range(200):
        if not joblock.is_held(tmp_path):
            break
        time.sleep(0.02)
    assert joblock.is_process_alive(process.pid)  # as far as its number tells
    assert not joblock.is_held(tmp_path)
    process.wait()


def test_heartbeat_beats_and_sees_a_takeover(tmp_path, monkeypatch):
    monkeypatch.setattr(joblock, "HEARTBEAT_S", 0.02)
    lock = joblock.JobLock(tmp_path)
    lock.acquire()
    os.utime(lock.path, (0, 0))
    for _ in range(200):
        if lock.path.stat().st_mtime > 0:
            break
        lock._stop.wait(0.02)
    assert lock.path.stat().st_mtime > 0
    aside = tmp_path / "aside"
    write_lock(tmp_path, host="elsewhere", pid=1).rename(aside)
    aside.rename(lock.path)
    for _ in range(200):
        if lock.is_lost:
            break
        lock._stop.wait(0.02)
    assert lock.is_lost
    lock.release()
    assert json.loads(lock.path.read_text())["token"] == "theirs"


def test_a_lock_that_cannot_be_read_for_a_moment_is_not_lost(tmp_path, monkeypatch):
    """A file system of a cluster that is away for a moment ends no job."""
    read, reads = joblock._read, []

    def away(lock):
        reads.append(lock)
        return {} if len(reads) < 3 else read(lock)

    lock = joblock.JobLock(tmp_path)
    monkeypatch.setattr(joblock, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(joblock, "_read", away)
    lock.acquire()
    for _ in range(200):
        if len(reads) > 4 or lock.is_lost:
            break
        lock._stop.wait(0.02)
    lock.release()
    assert not lock.is_lost
    assert os.listdir(tmp_path) == []


def test_dead_jobs_are_marked_and_others_left_alone(tmp_path):
    for number in (11, 21, 31, 41):
        name = f"Class2D/job{number:03d}/"
        project.register(tmp_path, project.JobEntry(name, "relion.class2d", 8))
        (tmp_path / name).mkdir(parents=True)
        if number != 41:  # that one is RELION's
            (tmp_path / name / jobs.PROVENANCE).write_text('{"program": "winnow2d"}')
    write_lock(tmp_path / "Class2D/job011", host=socket.gethostname(), pid=dead_pid())
    write_lock(tmp_path / "Class2D/job021", host=socket.gethostname(), pid=os.getpid())
    jobs.write_exit_file(tmp_path / "Class2D/job031", "Succeeded")  # ended, but could not say so in the graph
    assert joblock.mark_dead_jobs(tmp_path) == ["Class2D/job011/", "Class2D/job031/"]
    pipeline = read_pipeline(tmp_path / PIPELINE)
    statuses = [pipeline.status(f"Class2D/job{number:03d}/") for number in (11, 21, 31, 41)]
    assert statuses == ["Failed", "Running", "Succeeded", "Running"]
    assert (tmp_path / "Class2D/job011/RELION_JOB_EXIT_FAILURE").exists()
    assert joblock.mark_dead_jobs(tmp_path) == []


def test_a_full_disk_leaves_no_lock(tmp_path, monkeypatch):
    """An empty one would be taken for another machine's, and hold the job up."""

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("json.dump", full)
    with pytest.raises(OSError, match="No space"):
        joblock.JobLock(tmp_path).acquire()
    assert list(tmp_path.iterdir()) == []
