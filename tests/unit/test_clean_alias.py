import json
import os
import subprocess
import sys
from pathlib import Path

from winnow2d.formats import project as relion_project
from winnow2d.formats.jobs import PROGRAM, PROVENANCE

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "clean_alias.py"


def clean_alias(*arguments):
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_alias_follows_the_final_particles(project):
    for number in (12, 23):
        relion_project.register(project, relion_project.JobEntry(f"Select/job{number:03d}/", "relion.select", 7))
        Path(f"Select/job{number:03d}").mkdir(parents=True)
        Path(f"Select/job{number:03d}", PROVENANCE).write_text(json.dumps({"program": PROGRAM}))
        Path(f"Select/job{number:03d}/particles.star").write_text(str(number))
        for _ in range(2):
            answer = clean_alias(f"Select/job{number:03d}/particles.star", "Select/clean")
            assert (answer.returncode, answer.stderr) == (0, "")
            assert Path("Select/clean/particles.star").read_text() == str(number)
    assert sorted(os.listdir("Select")) == ["clean", "job012", "job023"]


def test_mistakes_have_one_line(project):
    answer = clean_alias("elsewhere/particles.star", "Select/clean")
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert answer.stderr.startswith("ERROR: elsewhere/particles.star: it lies in no job's directory")
