"""A whole extraction: resumed by micrograph, the same for any number of threads, and what is said of broken input."""

from __future__ import annotations

import shutil
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest

from micrograph_sets import FOLDER, PATTERN, extract, make_project, micrograph_rows, pixels, stacks, write_micrograph
from winnow2d.errors import StarError
from winnow2d.extraction import micrograph as one_micrograph
from winnow2d.extraction.job import Sources, extract_particles
from winnow2d.extraction.run import LEFT_OUT, STATE, joined
from winnow2d.extraction.settings import Recentring, Settings
from winnow2d.formats.star import read_star, write_star
from winnow2d.numerics.windows import Windowing

WINDOWING = Windowing(64, 32, True, 12, 4.0, 4.0, True)
JOB = "Extract/job001"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a project of twelve micrographs that has been extracted; tests work on a copy."""
    folder = make_project(tmp_path_factory.mktemp("extract"), 12, 9, (120, 160))
    extract(folder, WINDOWING)
    return folder


@pytest.fixture
def project(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "project"))


@pytest.fixture
def fresh(project):
    shutil.rmtree(project / "Extract")
    return project


def bytes_of(project, job=JOB):
    """Return all that was written of an extraction, but the state."""
    files = sorted(path for path in (project / job).rglob("*") if path.is_file() and path.name != STATE)
    return {path.relative_to(project / job).as_posix(): path.read_bytes() for path in files}


def edit(project, table, **cells):
    """Give the first row of a table of micrographs.star other cells; None takes a column away."""
    tables = read_star(project / "micrographs.star")
    for label, cell in cells.items():
        if cell is None:
            tables[table] = tables[table].drop(columns=label)
        else:
            tables[table].loc[0, label] = cell
    write_star(project / "micrographs.star", tables)


def refused(project, coordinates=PATTERN, **more):
    with pytest.raises(StarError) as told:
        extract(project, WINDOWING, coordinates, **more)
    return "\n".join(told.value.problems)


@pytest.mark.parametrize("n_threads", [2, 5])
def test_the_number_of_threads_changes_no_byte(finished, fresh, n_threads):
    extract(fresh, WINDOWING, n_threads=n_threads)
    assert bytes_of(fresh) == bytes_of(finished)


def test_what_is_done_is_not_done_again(project, monkeypatch, finished):
    monkeypatch.setattr(one_micrograph, "read_micrograph", lambda path: pytest.fail(f"{path} was read again"))
    extract(project, WINDOWING)
    assert bytes_of(project) == bytes_of(finished)


def test_an_interrupted_extraction_goes_on_to_the_same_files(fresh, finished, monkeypatch):
    class Stop(Exception):
        pass

    def stop(done, total, text):
        if done == 5:
            raise Stop

    with pytest.raises(Stop):
        extract_particles(Sources("micrographs.star", PATTERN), Settings(WINDOWING), fresh, JOB, 1, stop)
    assert not (fresh / JOB / "particles.star").exists()
    with open(fresh / JOB / STATE, "a") as state:
        state.write("MotionCorr/job002/Mic/m7.mrc\t12ab")  # the machine died while it wrote
    read, original = [], one_micrograph.read_micrograph
    monkeypatch.setattr(one_micrograph, "read_micrograph", lambda path: read.append(path.name) or original(path))
    extract(fresh, WINDOWING)
    assert len(read) in (6, 7)  # with one thread two are begun at a time
    assert bytes_of(fresh) == bytes_of(finished)


def test_options_changed_and_changed_back_leave_no_other_images(project, finished):
    """What a run with other options wrote, but stopped before it could tell, is not taken for the first run's."""
    other = Settings(Windowing(64, 32, True, 12, 4.0, 4.0, False))

    def stop(done, total, text):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        extract_particles(Sources("micrographs.star", PATTERN), other, project, JOB, 2, stop)
    assert bytes_of(project) != bytes_of(finished)
    extract(project, WINDOWING)
    assert bytes_of(project) == bytes_of(finished)


@pytest.mark.parametrize("changed", ["windowing", "coordinates", "micrograph", "ctf"])
def test_what_has_changed_is_done_again(project, changed, monkeypatch):
    windowing = WINDOWING
    if changed == "windowing":
        windowing = Windowing(64, 32, True, 12, 4.0, 4.0, False)
    if changed == "coordinates":
        table = pd.DataFrame({"rlnCoordinateX": ["50"], "rlnCoordinateY": ["60"], "rlnAutopickFigureOfMerit": ["1"]})
        write_star(project / "AutoPick/job004/Mic/m1_pick.star", {"": table})
    if changed == "micrograph":
        write_micrograph(project / FOLDER / "m1.mrc", pixels(np.random.default_rng(77), (120, 160)))
    if changed == "ctf":
        edit(project, "micrographs", rlnDefocusU="12345")
    before, read, original = stacks(project, JOB), [], one_micrograph.read_micrograph
    monkeypatch.setattr(one_micrograph, "read_micrograph", lambda path: read.append(path.name) or original(path))
    table = extract(project, windowing)
    assert read == ([f"m{number}.mrc" for number in range(1, 13)] if changed == "windowing" else ["m1.mrc"])
    assert len(table.particles) == 108 - 8 * (changed == "coordinates")
    if changed == "ctf":
        assert table.particles["rlnDefocusU"].iloc[0] == "12345"
    else:
        assert not np.array_equal(stacks(project, JOB), before)


def test_one_bad_micrograph_is_left_out_and_named(fresh, caplog):
    path = fresh / FOLDER / "m3.mrc"
    path.write_bytes(path.read_bytes()[:-5000])
    table = extract(fresh, WINDOWING, n_threads=2)
    assert len(table.particles) == 99
    assert f"{FOLDER}/m3.mrc" not in table.particles["rlnMicrographName"].tolist()
    (row,) = (fresh / JOB / LEFT_OUT).read_text().splitlines()[1:]
    name, number, reason = row.split("\t")
    assert (name, number) == (f"{FOLDER}/m3.mrc", "3")
    assert "m3.mrc: truncated: " in reason
    assert "micrograph 3 left out" in caplog.text


def test_a_bad_micrograph_put_right_is_taken_in(fresh, finished):
    path = fresh / FOLDER / "m3.mrc"
    whole, status = path.read_bytes(), path.stat()
    path.write_bytes(whole[:-5000])
    extract(fresh, WINDOWING)
    path.write_bytes(whole)
    assert status.st_size == path.stat().st_size
    extract(fresh, WINDOWING)
    assert bytes_of(fresh) == bytes_of(finished)


def test_too_many_bad_micrographs_stop_the_job(fresh):
    for number in (1, 2, 5):
        (fresh / FOLDER / f"m{number}.mrc").write_bytes(b"no micrograph" * 200)
    told = refused(fresh)
    assert "2 of 12 micrographs cannot be used, more than a tenth" in told
    assert f"row 1: {FOLDER}/m1.mrc: " in told
    assert "m1.mrc: MRC mode 544173672 cannot be read" in told
    assert not (fresh / JOB / "particles.star").exists()


def broken(project, number, image):
    """Give two micrographs another image, so that the job stops and says why."""
    for n in (number, number + 1):
        write_micrograph(project / FOLDER / f"m{n}.mrc", image)


def test_pixels_that_are_no_numbers(fresh):
    image = pixels(np.random.default_rng(1), (120, 160))
    image[3, 4] = np.nan
    with pytest.warns(RuntimeWarning):  # mrcfile says it while writing
        broken(fresh, 1, image)
    assert "m1.mrc: holds pixels that are nan or infinite" in refused(fresh)


def test_a_movie_is_no_micrograph(fresh):
    broken(fresh, 1, np.zeros((3, 20, 20), np.float32))
    assert "m1.mrc: holds 3 images; expected one micrograph (a movie must be averaged first)" in refused(fresh)


def test_coordinates_of_another_sampling(fresh):
    table = pd.DataFrame({"rlnCoordinateX": ["20", "900"], "rlnCoordinateY": ["30", "800.5"]})
    for number in (1, 2):
        write_star(fresh / f"AutoPick/job004/Mic/m{number}_pick.star", {"": table})
    told = refused(fresh)
    assert "m1_pick.star: row 2 on MotionCorr/job002/Mic/m1.mrc: the box of 64 px around (900, 800.5)" in told
    assert "Were they picked at another pixel size?" in told


@pytest.mark.parametrize(
    ("table", "cells", "words"),
    [
        ("micrographs", {"rlnDefocusU": None}, "table data_micrographs has no column rlnDefocusU; estimate the CTF"),
        (
            "micrographs",
            {"rlnDefocusV": "nan"},
            "table data_micrographs row 1: rlnDefocusV is 'nan', expected a number",
        ),
        (
            "micrographs",
            {"rlnOpticsGroup": "7"},
            "table data_micrographs row 1: optics group '7' is not in data_optics",
        ),
        ("micrographs", {"rlnMicrographName": f"{FOLDER}/m2.mrc"}, "table data_micrographs rows 1 and 2 are the same"),
        ("optics", {"rlnMicrographPixelSize": "0"}, "table data_optics row 1: rlnMicrographPixelSize is '0', expected"),
        ("optics", {"rlnMicrographPixelSize": None}, "table data_optics has no column rlnMicrographPixelSize"),
        ("optics", {"rlnVoltage": "high"}, "table data_optics row 1: rlnVoltage is 'high', expected a number"),
    ],
)
def test_a_wrong_table_is_told_with_its_row(fresh, table, cells, words):
    edit(fresh, table, **cells)
    told = refused(fresh)
    assert told.startswith(f"{fresh}/micrographs.star: ")
    assert words in told


def test_a_file_that_is_no_table_of_micrographs(fresh):
    write_star(fresh / "micrographs.star", {"particles": micrograph_rows(["a"])})
    assert "micrographs.star: no table data_optics and data_micrographs with rows" in refused(fresh)


def test_without_ctf_correction_no_ctf_is_needed(fresh):
    for label in ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"):
        edit(fresh, "micrographs", **{label: None})
    assert "rlnDefocusU" not in extract(fresh, WINDOWING, needs_ctf=False).particles


def test_a_pattern_that_fits_no_file(fresh):
    told = refused(fresh, "AutoPick/job004/*_autopick.star")
    assert "fits no file: " in told
    assert "AutoPick/job004/Mic/m1_autopick.star was looked for" in told


def test_one_file_of_coordinates_for_two_micrographs_of_one_name_is_refused(fresh):
    write_micrograph(fresh / "other/m1.mrc", pixels(np.random.default_rng(1), (120, 160)))
    edit(fresh, "micrographs", rlnMicrographName="other/m1.mrc")
    tables = read_star(fresh / "micrographs.star")
    tables["micrographs"].loc[1, "rlnMicrographName"] = f"{FOLDER}/m1.mrc"
    write_star(fresh / "micrographs.star", tables)
    shutil.move(fresh / "AutoPick/job004/Mic/m1_pick.star", fresh / "AutoPick/job004/m1_pick.star")
    assert f"gives other/m1.mrc and {FOLDER}/m1.mrc the same file" in refused(fresh)


@pytest.mark.parametrize(
    ("table", "label", "cell", "words"),
    [
        ("particles", "rlnCoordinateY", "left", "data_particles row 3: rlnCoordinateY is 'left', expected a number"),
        ("particles", "rlnCoordinateX", "nan", "data_particles row 3: rlnCoordinateX is 'nan', expected a number"),
        ("optics", "rlnImagePixelSize", None, "particles.star: table data_optics has no column rlnImagePixelSize"),
    ],
)
def test_particles_that_cannot_be_cut_again_are_told(project, table, label, cell, words):
    tables = read_star(project / JOB / "particles.star")
    if cell is None:
        tables[table] = tables[table].drop(columns=label)
    else:
        tables[table].loc[2, label] = cell
    write_star(project / "particles.star", tables)
    assert words in refused(project, "particles.star")


def test_particles_cut_again_name_no_former_image_as_their_full_size(project):
    tables = read_star(project / JOB / "particles.star")
    tables["particles"]["winnowFullSizeImageName"] = tables["particles"]["rlnImageName"]
    write_star(project / "particles.star", tables)
    assert "winnowFullSizeImageName" not in extract(project, WINDOWING, "particles.star").particles


def test_particles_of_another_pixel_size_are_centred_anew(project):
    """A point to centre on is given in their pixels."""
    coordinates, tables = [], read_star(project / JOB / "particles.star")
    for size in ("4.0", "6.0"):
        tables["optics"]["rlnImagePixelSize"] = size
        write_star(project / "particles.star", tables)
        recentring = Recentring(do_recenter=True, reference_point_px=(3.0, 0.0, 0.0))
        table = extract(project, WINDOWING, "particles.star", recentring=recentring)
        coordinates.append(table.particles["rlnCoordinateX"].astype(float).to_numpy())
    assert np.allclose(coordinates[1] - coordinates[0], 3.0)


def test_micrographs_that_are_nowhere(fresh):
    shutil.rmtree(fresh / FOLDER)
    told = refused(fresh)
    assert "row 1: MotionCorr/job002/Mic/m1.mrc was not found, nor was any other of the 12 micrographs" in told
    assert "own: {stacks_root: ...}" in told


def test_micrographs_are_found_below_stacks_root(fresh, tmp_path):
    from winnow2d.extraction.plan import plan_micrographs
    from winnow2d.formats.micrograph_table import read_micrograph_table

    shutil.move(fresh / "MotionCorr", tmp_path / "disk" / "MotionCorr")
    table = read_micrograph_table(fresh / "micrographs.star", True)
    plan = plan_micrographs(table, PATTERN, fresh, str(tmp_path / "disk"))
    assert plan[0].image == tmp_path / "disk" / FOLDER / "m1.mrc"


def test_no_particle_at_all(fresh):
    for path in (fresh / "AutoPick/job004/Mic").glob("*.star"):
        path.write_text("\n")
    assert "no particle on any of 12 micrographs (0 of them bad)" in refused(fresh)


def test_another_pixel_size_in_the_header_is_told_and_the_table_believed(fresh, caplog):
    with mrcfile.open(fresh / FOLDER / "m1.mrc", mode="r+") as file:
        file.voxel_size = 3.0
    table = extract(fresh, WINDOWING)
    assert "rlnMicrographPixelSize is 2 A, but the header of" in caplog.text
    assert "says 3 A" in caplog.text
    assert table.optics["rlnImagePixelSize"].tolist() == ["4.0"]


def test_only_picks_above_the_figure_of_merit_are_cut(fresh):
    table = extract(fresh, WINDOWING, minimum_fom=1.0)
    merits = table.particles["rlnAutopickFigureOfMerit"].astype(float)
    assert len(merits) == 12 * 4
    assert merits.min() > 1.0
    assert len(stacks(fresh, JOB)) == 48


def test_a_threshold_without_a_figure_of_merit_is_told(fresh):
    for path in (fresh / "AutoPick/job004/Mic").glob("*.star"):
        write_star(path, {"": read_star(path)[""].drop(columns="rlnAutopickFigureOfMerit")})
    assert "has no column rlnAutopickFigureOfMerit; say extract: {do_fom_threshold: No}" in refused(
        fresh, minimum_fom=0.1
    )


def test_a_list_of_coordinates_names_the_files_and_leaves_the_others_out(fresh):
    names = [f"{FOLDER}/m{number}.mrc" for number in (4, 2)]
    files = [f"AutoPick/job004/Mic/m{number}_pick.star" for number in (4, 2)]
    listed = pd.DataFrame({"rlnMicrographName": names, "rlnMicrographCoordinates": files})
    write_star(fresh / "autopick.star", {"coordinate_files": listed})
    table = extract(fresh, WINDOWING, "autopick.star")
    assert table.particles["rlnMicrographName"].unique().tolist() == names[::-1]


def test_a_list_of_other_micrographs_is_refused(fresh):
    listed = pd.DataFrame({"rlnMicrographName": ["x.mrc"], "rlnMicrographCoordinates": ["x.star"]})
    write_star(fresh / "autopick.star", {"coordinate_files": listed})
    assert "none of its micrographs (x.mrc ...) is in" in refused(fresh, "autopick.star")


def test_a_listed_file_that_is_missing_is_named(fresh):
    names = [f"{FOLDER}/m{number}.mrc" for number in (1, 2)]
    listed = pd.DataFrame({"rlnMicrographName": names, "rlnMicrographCoordinates": ["gone1.star", "gone2.star"]})
    write_star(fresh / "autopick.star", {"coordinate_files": listed})
    assert "gone1.star: no such file" in refused(fresh, "autopick.star")


def test_half_precision_holds_the_same_images(fresh, finished):
    extract(fresh, WINDOWING, is_float16=True)
    half, whole = stacks(fresh, JOB), stacks(finished, JOB)
    assert half.dtype == np.float16
    assert np.abs(half - whole).max() < 5e-4 * np.abs(whole).max()


def test_values_too_large_for_half_precision_are_told(fresh):
    broken(fresh, 1, np.full((120, 160), 1e5, np.float32))
    with pytest.raises(StarError, match=r"do not fit in float16; say extract: .do_float16: No."):
        extract(fresh, Windowing(64, 64, False), is_float16=True)


def test_columns_that_some_files_lack_are_filled_as_relion_fills_them():
    first = pd.DataFrame({"rlnCoordinateX": ["1"], "rlnAutopickFigureOfMerit": ["0.5"]})
    second = pd.DataFrame({"rlnCoordinateX": ["2"], "rlnGroupName": ["g"]})
    table = joined([first, second])
    assert table["rlnAutopickFigureOfMerit"].tolist() == ["0.5", "0"]
    assert table["rlnGroupName"].tolist() == ["", "g"]
