import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from winnow2d import joblock, waiting

JOB = "Class2D/job011"


@pytest.fixture
def squeue(project, monkeypatch):
    """Return a function that says what squeue answers, one text a call; the last one is given again."""
    folder = project.parent / f"{project.name}_bin"
    folder.mkdir()
    command = folder / "squeue"
    command.write_text(
        f"#!/bin/sh\ncd {folder}\nnext=$(ls answer* | head -n 1)\ncat $next\n"
        "[ $(ls answer* | wc -l) -gt 1 ] && rm $next\nexit 0\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    (project / waiting.QUEUE_LOGS).mkdir(parents=True)

    def answers(*texts):
        for number, text in enumerate(texts):
            (folder / f"answer{number}").write_text(text.replace("HERE", str(project)))

    return answers


def held_by(process):
    Path(JOB).mkdir(parents=True)
    holder = {"host": socket.gethostname(), "pid": process.pid, "birth": joblock._birth(process.pid), "token": "a"}
    Path(JOB, joblock.LOCK).write_text(json.dumps(holder))


def test_nothing_to_wait_for(project):
    assert not waiting.wait_for_others([JOB], lambda sentence: pytest.fail(sentence))


def test_a_living_process_is_waited_for_and_told_of_once(project):
    process = subprocess.Popen(["sleep", "0.6"])
    held_by(process)
    said = []
    assert waiting.wait_for_others([JOB], said.append, poll_s=0.05)
    process.wait()
    assert len(said) == 1
    assert said[0].startswith(f"{JOB}/ is in use by process {process.pid} on {socket.gethostname()}. Waiting")
    assert "scancel" not in said[0]


def test_jobs_that_still_wait_in_the_queue_are_waited_for(squeue):
    ours = "7|PENDING|rule_class2d_wildcards_01_025|HERE\n"
    others = "5|RUNNING|rule_class2d_wildcards_01_025|/elsewhere\n6|RUNNING|(null)|HERE\n8|FAILED|rule_class2d|HERE\n"
    squeue(ours + others, ours.replace("PENDING", "RUNNING") + others, others)
    said = []
    assert waiting.wait_for_others([JOB], said.append, poll_s=0.01)
    assert said == [
        "queue job 7 (rule_class2d_wildcards_01_025) of this project is PENDING. Waiting until it ends. "
        "Ctrl-C leaves it alone; `scancel 7` ends it."
    ]


def test_a_queue_that_does_not_answer_keeps_nobody_waiting(squeue, project):
    command = project.parent / f"{project.name}_bin/squeue"
    command.write_text("#!/bin/sh\nexit 1\n")
    assert not waiting.wait_for_others([JOB], lambda sentence: pytest.fail(sentence))


def test_without_a_queue_none_is_asked(squeue, project):
    squeue("7|PENDING|rule_class2d|HERE\n")
    (project / waiting.QUEUE_LOGS).rmdir()
    assert not waiting.wait_for_others([JOB], lambda sentence: pytest.fail(sentence))
