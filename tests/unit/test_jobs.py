import dataclasses

import pytest

from winnow2d.errors import ConfigError, JobError
from winnow2d.formats import jobs
from winnow2d.formats.star import read_star
from winnow2d.options import Class2DOptions, ExtractOptions, OwnOptions, SelectOptions


def class2d_job(**changes):
    options = Class2DOptions(
        fn_img="Extract/job001/particles.star", do_em=True, do_grad=False, nr_iter_em=7, tau_fudge=2.5
    )
    job = jobs.JobFile(
        label="relion.class2d",
        type_number=8,
        options=options,
        own=OwnOptions(random_seed=42),
        inputs={"particles": "Extract/job001/particles.star", "none": [], "two": ["a b.star", "b.star"]},
        outputs={"data": "Class2D/job011/run_it007_data.star"},
        params={"demo": {"snr": 0.4, "map": "", "text": 'a "quoted" word', "list": [1, None, True]}, "plain": "x y"},
    )
    return dataclasses.replace(job, **changes)


def test_job_star_returns_what_was_written(tmp_path):
    jobs.write_job_star(tmp_path / "job.star", class2d_job())
    assert jobs.read_job_star(tmp_path / "job.star", Class2DOptions) == class2d_job()


@pytest.mark.parametrize("kind", [ExtractOptions, SelectOptions])
def test_default_options_survive(tmp_path, kind):
    job = class2d_job(options=kind())
    jobs.write_job_star(tmp_path / "job.star", job)
    assert jobs.read_job_star(tmp_path / "job.star", kind) == job


@pytest.mark.parametrize("names", [(), ("random_seed",)])
def test_options_of_ours_that_a_job_does_not_read_are_not_recorded(tmp_path, names):
    job = class2d_job(own=OwnOptions(random_seed=42 if names else 1), own_names=names)
    jobs.write_job_star(tmp_path / "job.star", job)
    assert jobs.read_job_star(tmp_path / "job.star", Class2DOptions) == job
    table = read_star(tmp_path / "job.star").get("winnow_own")
    assert (tuple(table["winnowOptionVariable"]) if names else table) == (names or None)


def test_job_star_has_relions_shape(tmp_path):
    jobs.write_job_star(tmp_path / "job.star", class2d_job())
    tables = read_star(tmp_path / "job.star")
    head = tables["job"].iloc[0]
    assert (head["rlnJobTypeLabel"], head["rlnJobType"]) == ("relion.class2d", "8")
    options = tables["joboptions_values"]
    assert list(options["rlnJobOptionVariable"]) == sorted(options["rlnJobOptionVariable"])
    values = dict(zip(options["rlnJobOptionVariable"], options["rlnJobOptionValue"], strict=True))
    assert values["do_em"] == "Yes"
    assert values["tau_fudge"] == "2.5"
    assert values["particle_diameter"] == "200"
    assert values["scratch_dir"] == ""
    assert values["nr_iter"] == "7"  # what RELION 3.1 calls nr_iter_em


def test_job_star_not_ours_is_refused(tmp_path):
    (tmp_path / "job.star").write_text("data_job\n\n_rlnJobTypeLabel relion.class2d\n")
    with pytest.raises(JobError, match=r"winnow_outputs.*not one Winnow wrote"):
        jobs.read_job_star(tmp_path / "job.star", Class2DOptions)


def test_all_bad_options_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        jobs.options_from(Class2DOptions, {"nr_clases": "5", "nr_classes": "2.5", "do_helix": "Yes"}, "here")
    assert len(caught.value.problems) == 3
    assert "unknown option nr_clases" in caught.value.problems[0]
    assert "a whole number" in caught.value.problems[1]
    assert "helical segments" in caught.value.problems[2]


def test_note_has_relions_shape_and_grows(tmp_path):
    jobs.append_note(tmp_path, ["python one"])
    jobs.append_note(tmp_path, ["python two"])
    lines = (tmp_path / "note.txt").read_text().split("\n")
    assert lines[0] == ""
    assert lines[1].startswith(" ++++ Executing new job on ")
    assert lines[2:5] == [" ++++ with the following command(s): ", "python one", " ++++ "]
    assert lines[8:] == ["python two", " ++++ ", ""]


def test_foreign_directory_is_refused_and_ours_is_not(tmp_path):
    place = tmp_path / "job011"
    jobs.check_directory_is_free(place)
    (place / "Micrographs").mkdir(parents=True)
    (place / ".snakemake_timestamp").touch()
    (place / "logs").mkdir()
    (place / "logs" / "a.log").touch()
    jobs.check_directory_is_free(place, ["logs/a.log"])
    (place / "run_it025_data.star").touch()
    with pytest.raises(JobError, match=r"not made by Winnow.*run_it025_data"):
        jobs.check_directory_is_free(place, ["logs/a.log"])
    (place / jobs.PROVENANCE).write_text('{"program": "another"}')
    with pytest.raises(JobError):
        jobs.check_directory_is_free(place)
    (place / jobs.PROVENANCE).write_text('{"program": "winnow2d"}')
    jobs.check_directory_is_free(place)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Class2D/job011/run.out", ("Class2D", 11, "Class2D/job011")),
        ("Select/job1234/", ("Select", 1234, "Select/job1234")),
        ("Select/job12/a", None),
        ("report/index.html", None),
        ("/abs/Class2D/job011/x", None),
    ],
)
def test_split_job_name(path, expected):
    assert jobs.split_job_name(path) == expected
