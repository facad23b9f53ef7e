"""A first round in parts: splits of one file, and several files of which each is paid for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow2d.formats.project import read_project
from winnow2d.formats.star import read_star
from winnow2d.formats.star_writing import write_star
from workflow.snakemake_runs import DEMO, fingerprints, finished, snakemake

pytestmark = pytest.mark.workflow

SPLIT = DEMO | {"own": {"splits": 2}, "select": {"rank_threshold": 0.1, "select_nr_parts": 50}}


def images(path: Path) -> list[str]:
    return read_star(path)["particles"]["rlnImageName"].tolist()


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Path:
    project = tmp_path_factory.mktemp("parts") / "split"
    project.mkdir()
    finished(project, SPLIT)
    return project


def test_every_particle_is_in_one_part_and_what_parts_keep_is_joined(split):
    entered = images(split / "Extract/job001/particles.star")
    parts = [images(split / f"Select/job010/particles_split{number}.star") for number in (1, 2)]
    assert sorted(parts[0] + parts[1]) == sorted(entered)
    assert [len(part) for part in parts] == [100, 100]
    kept = [images(split / f"Select/job{block}2/particles.star") for block in ("01", "11")]
    for ours, theirs in zip(kept, parts, strict=True):
        assert set(ours) <= set(theirs)
    assert images(split / "JoinStar/job017/join_particles.star") == kept[0] + kept[1]
    assert sorted(images(split / "Class2D/job021/run_it003_data.star")) == sorted(kept[0] + kept[1])


def test_parts_are_jobs_of_a_relion_project(split):
    jobs = {row["rlnPipeLineProcessName"] for row in read_project(split).processes}
    assert {"Select/job010/", "Class2D/job011/", "Class2D/job111/", "Select/job112/", "JoinStar/job017/"} <= jobs


def test_the_report_shows_every_part(split):
    page = (split / "report/index.html").read_text(encoding="utf-8")
    assert "Class2D/job011" in page
    assert "Class2D/job111" in page


def test_a_group_is_one_group_in_all_parts_of_a_file(split):
    joined = read_star(split / "JoinStar/job017/join_particles.star")["particles"]
    if "rlnGroupName" in joined:
        assert not joined["rlnGroupName"].str.startswith("optics").any()


def files_of(project: Path, folder: Path, names: list[str]) -> dict:
    """Return the config of a project whose particles are these files, and write them where they are missing."""
    whole = read_star(folder / "Extract/job001/particles.star")
    micrographs = sorted(set(whole["particles"]["rlnMicrographName"]))
    for number, name in enumerate(names):
        wanted = whole["particles"]["rlnMicrographName"].isin(micrographs[number::4])
        if not (project / name).exists():
            write_star(project / name, whole | {"particles": whole["particles"][wanted].reset_index(drop=True)})
    return SPLIT | {"input": {"particles": names}, "own": {"stacks_root": str(folder)}}


def test_another_file_costs_only_its_own_jobs(split, tmp_path):
    project = tmp_path / "grown"
    project.mkdir()
    small = {"select": {"rank_threshold": 0.1, "select_nr_parts": 20}}
    finished(project, files_of(project, split, ["a.star", "b.star"]) | small)
    first = ("Extract/job001", "Extract/job101", "Class2D/job011", "Class2D/job111", "Select/job012", "Select/job112")
    before = fingerprints(project, *first)
    finished(project, files_of(project, split, ["a.star", "b.star", "c.star"]) | small)
    assert fingerprints(project, *first) == before
    joined = images(project / "JoinStar/job017/join_particles.star")
    assert set(images(project / "Select/job212/particles.star")) <= set(joined)
    assert sorted(images(project / "Class2D/job021/run_it003_data.star")) == sorted(joined)


def test_what_cannot_be_split_is_told_at_once(tmp_path):
    project = tmp_path / "refused"
    project.mkdir()
    config = {"input": {"particles": ["a.star", "a.star"]}, "own": {"splits": 50}, "rounds": [{}] * 10}
    result = snakemake(project, config)
    assert result.returncode
    for text in (
        "a.star is named more than once",
        "rounds: 10 entries; with a first round in parts at most 9",
        "100 parts of the first round",
    ):
        assert text in result.stdout
    assert "Traceback" not in result.stdout


def test_a_changed_file_enters_alone_and_all_others_stay(split, tmp_path):
    project = tmp_path / "changed"
    project.mkdir()
    config = files_of(project, split, ["a.star", "b.star"]) | {"select": {"rank_threshold": 0.1, "select_nr_parts": 20}}
    finished(project, config, "--until", "extract")
    before = fingerprints(project, "Extract/job101")
    blocks = read_star(project / "a.star")
    write_star(project / "a.star", blocks | {"particles": blocks["particles"].iloc[:-3]})
    finished(project, config, "--until", "extract")
    assert fingerprints(project, "Extract/job101") == before
    assert len(images(project / "Extract/job001/particles.star")) == len(blocks["particles"]) - 3
