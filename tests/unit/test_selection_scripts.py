"""The scripts of the rules select_classes and regroup, run from a job.star on iterations RELION wrote."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from winnow2d.formats.jobs import PROGRAM, PROVENANCE, JobFile, write_job_star
from winnow2d.formats.ledger import read_ledger
from winnow2d.formats.particles import ParticleTable, read_particle_table, write_particle_table
from winnow2d.formats.poses import read_poses
from winnow2d.formats.refinement import read_iteration
from winnow2d.formats.star import read_star, write_star
from winnow2d.numerics.masks import positive_centre_of_mass
from winnow2d.options import OwnOptions, SelectOptions

STEM = "Class2D/job002/run_it004_"
CLASSIFIED = {name: f"{STEM}{name}.star" for name in ("data", "model", "optimiser")}


@pytest.fixture
def run(project, repository):
    """Return a function that runs a script of ours in the project as its job.star says."""
    shutil.copytree(repository / "tests/golden/relion5/Class2D", project / "Class2D", dirs_exist_ok=True)

    def run_script(script, directory, label, options, inputs, outputs, params=None, own=None):
        job = JobFile(
            label=label, type_number=7, options=options, own=own or OwnOptions(), inputs=inputs, outputs=outputs,
            params=params or {},
        )  # fmt: skip
        (project / directory).mkdir(parents=True, exist_ok=True)
        write_job_star(project / directory / "job.star", job)
        (project / directory / PROVENANCE).write_text(json.dumps({"program": PROGRAM}))
        path = repository / "scripts" / script
        environment = os.environ | {"PYTHONPATH": str(path.parent)}
        command = [sys.executable, str(path), f"{directory}/job.star"]
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    return run_script


@pytest.fixture
def select(run):
    def run_select(own=None, **options):
        names = ("particles", "class_averages", "backup_selection")
        outputs = {name: f"Select/job012/{name}.star" for name in names}
        outputs["class_ledger"] = "report/round_01/classes.tsv"
        outputs["particle_ledger"] = "report/round_01/particles.tsv"
        return run(
            "select_classes.py", "Select/job012", "relion.select.class2dauto", SelectOptions(**options),
            CLASSIFIED, outputs, {"particle_diameter": 190.0}, OwnOptions(**(own or {})),
        )  # fmt: skip

    return run_select


@pytest.fixture
def middle_score(project, select):
    """Return the third best of the five scores: as a threshold it keeps some classes and drops others."""
    assert select(rank_threshold=0.0).returncode == 0
    return float(np.sort(read_ledger(project / "report/round_01/classes.tsv")["score"])[2])


def test_selection_of_relions_classes(project, select, middle_score):
    done = select(rank_threshold=middle_score)
    assert done.returncode == 0, done.stderr
    ledger = read_ledger(project / "report/round_01/classes.tsv")
    decisions = read_ledger(project / "report/round_01/particles.tsv")
    table = read_particle_table(project / "Select/job012/particles.star").particles
    everything = read_particle_table(project / CLASSIFIED["data"]).particles
    assert 0 < ledger["kept"].sum() < 5
    assert (ledger["kept"] == (ledger["score"] >= middle_score)).all()
    assert len(decisions) == 400
    kept = everything[decisions["kept"].to_numpy()]
    assert table.to_numpy().tolist() == kept.to_numpy().tolist()
    assert set(table["rlnClassNumber"]) == {str(k) for k in ledger["class"][ledger["kept"]]}
    told = (project / "Select/job012/run.out").read_text()
    assert f"{len(table)} of 400 particles from {ledger['kept'].sum()} of 5 classes" in told
    averages = read_star(project / "Select/job012/class_averages.star")[""]
    np.testing.assert_array_equal(averages["rlnPredictedClassScore"].astype(float), ledger["score"][ledger["kept"]])
    assert read_star(project / "Select/job012/backup_selection.star")[""]["rlnSelected"].tolist() == [
        str(int(kept)) for kept in ledger["kept"]
    ]


def test_images_of_a_project_of_ours_that_lies_in_this_one_are_linked(project, run, repository):
    shutil.copytree(repository / "tests/golden/relion5/Extract", project / "inner/Extract", dirs_exist_ok=True)
    shutil.move(project / "Class2D", project / "inner/Class2D")
    (project / "inner/Class2D/job002" / PROVENANCE).write_text(json.dumps({"program": PROGRAM}))
    names = ("particles", "class_averages", "backup_selection")
    outputs = {name: f"Select/job012/{name}.star" for name in names}
    outputs |= {"class_ledger": "report/classes.tsv", "particle_ledger": "report/particles.tsv"}
    given = {name: f"inner/{path}" for name, path in CLASSIFIED.items()}
    done = run("select_classes.py", "Select/job012", "relion.select.class2dauto", SelectOptions(), given, outputs)
    assert done.returncode == 0, done.stderr
    kept = read_particle_table(project / "Select/job012/particles.star").particles["rlnImageName"]
    assert len(kept)
    assert all((project / stack).is_file() for stack in kept.str.partition("@")[2])


def test_a_class_that_the_model_has_not_is_told_by_its_row(project, select):
    path = project / CLASSIFIED["data"]
    table = read_particle_table(path)
    table.particles.loc[3, "rlnClassNumber"] = "9"
    write_particle_table(path, table)
    assert select().returncode == 1
    told = "run_it004_data.star: data_particles row 4: rlnClassNumber 9, but the model has 5 classes"
    assert told in (project / "Select/job012/run.err").read_text()


def test_where_nothing_would_be_kept_the_guard_keeps_the_best_and_says_so(project, select):
    done = select(rank_threshold=1.0)
    assert done.returncode == 0, done.stderr
    ledger = read_ledger(project / "report/round_01/classes.tsv")
    assert ledger["kept"].any()
    assert ledger["rule"][ledger["kept"]].str.startswith("added by the guard (own.least_kept 0.1) (score ").all()
    said = (project / "Select/job012/run.out").read_text()
    assert "WARNING: Only 0 of 400 particles (0.0%) are kept by rank_threshold 1, fewer than own.least_kept" in said


def test_nothing_kept_without_the_guard_is_an_error_that_leaves_the_ledger(project, select):
    done = select(rank_threshold=1.0, own={"guard": "warn"})
    assert done.returncode == 1
    assert "no class reaches rank_threshold 1: the best score is" in (project / "Select/job012/run.err").read_text()
    assert not (project / "Select/job012/particles.star").exists()
    assert len(read_ledger(project / "Select/job012/classes.tsv")) == 5


def test_nothing_of_an_earlier_selection_outlives_a_changed_one(project, select):
    assert select().returncode == 0
    left = {path.name for path in (project / "Select/job012").glob("*.*")}
    assert {"particles.star", "rank_model.star", "rank_data.star", "rank_optimiser.star"} <= left
    assert select(rank_threshold=1.0, own={"guard": "warn"}).returncode == 1
    files = {path.name for path in (project / "Select/job012").glob("*.*")}
    made = {"particles", "class_averages", "backup_selection", "rank_model", "rank_data", "rank_optimiser"}
    assert not files & {f"{name}.star" for name in made}
    assert (project / "Select/job012/classes.tsv").exists()
    assert select().returncode == 0
    assert not (project / "Select/job012/classes.tsv").exists()


def test_nothing_of_an_earlier_selection_outlives_a_classification_that_cannot_be_read(project, select):
    assert select().returncode == 0
    (project / CLASSIFIED["model"]).write_text("")
    assert select().returncode == 1
    assert not (project / "Select/job012/rank_model.star").exists()
    assert not list((project / "report/round_01").glob("*.tsv"))


def test_regrouping_of_kept_particles(project, run):
    inputs = CLASSIFIED | {"particles": CLASSIFIED["data"]}
    done = run(
        "regroup.py", "Select/job013", "relion.select.interactive",
        SelectOptions(do_class_ranker=False, do_regroup=True, nr_groups=4), inputs,
        {"particles": "Select/job013/particles.star"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    particles = read_particle_table(project / "Select/job013/particles.star").particles
    pairs = particles.groupby("rlnGroupName")["rlnGroupNumber"].unique()
    assert 3 <= len(pairs) <= 5
    assert sorted(number for numbers in pairs for number in numbers) == [str(i + 1) for i in range(len(pairs))]
    assert particles["rlnGroupNumber"].iloc[0] == "1"
    before = read_particle_table(project / CLASSIFIED["data"]).particles
    assert particles["rlnImageName"].tolist() == before["rlnImageName"].tolist()


def test_regrouping_by_size(project, run):
    inputs = CLASSIFIED | {"particles": CLASSIFIED["data"]}
    done = run(
        "regroup.py", "Select/job013", "relion.select.interactive",
        SelectOptions(do_class_ranker=False, do_regroup=True), inputs,
        {"particles": "Select/job013/particles.star"}, own=OwnOptions(min_group_size=90),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    particles = read_particle_table(project / "Select/job013/particles.star").particles
    assert len(particles) == 400
    sizes = particles.groupby("rlnGroupName").size()
    assert 3 <= len(sizes) <= 4
    assert sizes.min() >= 90
    assert particles.groupby("rlnGroupNumber")["rlnGroupName"].nunique().tolist() == [1] * len(sizes)


def test_particles_are_moved_with_their_averages(project, select):
    everything = read_particle_table(project / CLASSIFIED["data"]).particles
    iteration = read_iteration(project / CLASSIFIED["optimiser"])
    assert select(do_recenter=True).returncode == 0
    moved = read_particle_table(project / "Select/job012/particles.star").particles
    kept = everything[read_ledger(project / "report/round_01/particles.tsv")["kept"].to_numpy()].reset_index(drop=True)
    others = [name for name in everything if name not in ("rlnOriginXAngst", "rlnOriginYAngst")]
    assert moved[others].equals(kept[others])
    psi = np.deg2rad(kept["rlnAnglePsi"].astype(float))
    cosine, sine = np.cos(psi), np.sin(psi)
    centres = [positive_centre_of_mass(average) for average in iteration.model.references]
    away = np.array(centres)[kept["rlnClassNumber"].astype(int) - 1] * iteration.model.pixel_size_ang
    assert np.abs(away).max() > 0.5
    before, after = ({axis: t[f"rlnOrigin{axis}Angst"].astype(float) for axis in "XY"} for t in (kept, moved))
    np.testing.assert_allclose(after["X"] - before["X"], -cosine * away[:, 0] - sine * away[:, 1], atol=1e-5)
    np.testing.assert_allclose(after["Y"] - before["Y"], sine * away[:, 0] - cosine * away[:, 1], atol=1e-5)
    # the scores of all classes are shown with the particles as they were classified
    assert read_particle_table(project / "Select/job012/rank_data.star").particles.equals(everything)

    assert select({"recentre_particles": False}, do_recenter=True).returncode == 0
    assert read_particle_table(project / "Select/job012/particles.star").particles.equals(kept)
    assert (project / "Select/job012/class_averages.mrcs").is_file()  # RELION moves these only


def test_averages_that_moved_after_averaging_are_followed_or_told(project, select):
    model, optimiser = (project / CLASSIFIED[name] for name in ("model", "optimiser"))
    optimiser.write_text(
        optimiser.read_text().replace("_rlnDoCenterClasses", "_rlnWas").rstrip() + "\n_rlnDoCenterClasses 1\n\n"
    )
    assert select(do_recenter=True).returncode == 0
    log = project / "Select/job012/run.out"
    assert "does not say how far" in log.read_text()
    before = read_poses(read_particle_table(project / "Select/job012/particles.star"), "")[1]

    blocks = read_star(model)
    classes = blocks["model_classes"]
    blocks["model_classes"] = classes.assign(winnowCentringXAngst="3.0", winnowCentringYAngst="-4.0")
    write_star(model, blocks)
    assert select(do_recenter=True).returncode == 0
    assert log.read_text().count("does not say how far") == 1  # of the run before
    after = read_poses(read_particle_table(project / "Select/job012/particles.star"), "")[1]
    np.testing.assert_allclose(np.hypot(*(after - before).T), 5, atol=1e-5)


def test_an_average_of_nan_is_never_good(project, select):
    """RELION may write them for a class it lost, beside particles that had it as their best."""
    stack = project / "Class2D/job002/run_it004_classes.mrcs"
    content = bytearray(stack.read_bytes())
    n_bytes = 48 * 48 * 4
    assert len(content) == 1024 + 5 * n_bytes
    content[1024 + 2 * n_bytes : 1024 + 3 * n_bytes] = np.full(48 * 48, np.nan, np.float32).tobytes()
    stack.write_bytes(content)
    done = select()
    assert done.returncode == 0, done.stderr
    ledger = read_ledger(project / "report/round_01/classes.tsv")
    assert ledger["n_particles"][2] > 0
    assert (ledger["score"][2], ledger["kept"][2]) == (0, False)
    assert ledger["kept"].any()
    assert "NaN or infinite pixels in class 3; the score is 0" in (project / "Select/job012/run.out").read_text()


def test_numbers_in_another_program_s_spelling(project, select, run):
    """Text or floats where whole numbers belong, and nan where RELION could not tell."""
    path = project / CLASSIFIED["data"]
    table = read_particle_table(path)
    odd = table.particles.assign(
        rlnClassNumber=table.particles["rlnClassNumber"] + ".000000",
        rlnGroupNumber=table.particles["rlnGroupNumber"] + ".0",
        rlnMaxValueProbDistribution="-nan",
    )
    write_particle_table(path, ParticleTable(table.optics, odd))
    done = select()
    assert done.returncode == 0, done.stderr
    kept = read_particle_table(project / "Select/job012/particles.star").particles
    assert set(kept["rlnMaxValueProbDistribution"]) == {"-nan"}
    assert kept["rlnClassNumber"].str.endswith(".000000").all()
    assert set(read_ledger(project / "report/round_01/particles.tsv")["max_probability"]) == {0}
    done = run(
        "regroup.py", "Select/job013", "relion.select.interactive",
        SelectOptions(do_class_ranker=False, do_regroup=True, nr_groups=4),
        CLASSIFIED | {"particles": "Select/job012/particles.star"}, {"particles": "Select/job013/particles.star"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    write_particle_table(path, ParticleTable(table.optics, odd.assign(rlnClassNumber="one")))
    assert select().returncode == 1
    assert "rlnClassNumber is one, expected a finite number" in (project / "Select/job012/run.err").read_text()


def test_duplicates_among_the_kept_are_taken_out_and_stand_in_the_ledger(project, select, middle_score):
    path = project / CLASSIFIED["data"]
    table = read_particle_table(path)
    spread = table.particles.assign(
        rlnCoordinateX=[f"{1000 * (row // 2)}.0" for row in range(400)], rlnCoordinateY="5.0",
        rlnOriginXAngst=["0.0", "12.5"] * 200, rlnOriginYAngst="0.0", rlnMicrographName="m.mrc",
    )  # fmt: skip
    optics = table.optics.assign(rlnMicrographOriginalPixelSize="1.18")
    write_particle_table(path, ParticleTable(optics, spread))
    assert select(rank_threshold=middle_score).returncode == 0
    without = read_particle_table(project / "Select/job012/particles.star").particles
    assert not (project / "Select/job012/particles_removed.star").exists()

    assert select(do_remove_duplicates=True, duplicate_threshold=20, rank_threshold=middle_score).returncode == 0
    kept = read_particle_table(project / "Select/job012/particles.star").particles
    removed = read_star(project / "Select/job012/particles_removed.star")[""]
    decisions = read_ledger(project / "report/round_01/particles.tsv")
    pairs = without["rlnCoordinateX"].duplicated(keep="last")
    assert 10 < pairs.sum() < 200
    assert removed["rlnImageName"].tolist() == without["rlnImageName"][pairs].tolist()
    assert kept["rlnImageName"].tolist() == without["rlnImageName"][~pairs].tolist()
    assert kept["rlnImageName"].tolist() == decisions["image_name"][decisions["kept"]].tolist()
    told = decisions[decisions["image_name"].isin(removed["rlnImageName"])]
    later = without["rlnImageName"][without["rlnCoordinateX"].duplicated(keep="first")].tolist()
    assert told["reason"].tolist() == [f"duplicate: 12.5 A from {name}" for name in later]
    assert not told["kept"].any()
    said = (project / "Select/job012/run.out").read_text()
    assert f"{len(removed)} duplicates within 20 A removed, {len(kept)} particles remain" in said
    assert "taken with pixels of 4.72 A, but data_optics tells of micrographs with 1.18 A: if those are" in said

    assert select(do_remove_duplicates=True, duplicate_threshold=12).returncode == 0
    assert not (project / "Select/job012/particles_removed.star").exists()
