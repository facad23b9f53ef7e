"""Particles enter a project: names resolve, cells keep their text, dead images stay outside."""

import pytest

from particle_sets import make_particle_set, make_table, make_two_groups, read_table, write_table
from winnow2d.formats.mrc import ParticleStack
from winnow2d.intake.enter import enter_particles
from winnow2d.intake.rounds import PlannedRound

OUT = "Extract/job001/particles.star"


def test_every_cell_passes_through_with_its_exact_text(tmp_path, project):
    source = make_particle_set(tmp_path / "data", extra={"rlnImageId": "007", "myOwnColumn": "1.50"})
    entered = enter_particles(source, project)
    before, after = read_table(source), read_table(project / OUT)
    assert entered.n_particles == 20
    assert after.particles.equals(before.particles)
    assert after.optics.equals(before.optics)
    assert set(after.particles["rlnImageId"]) == {"007"}


def test_the_unchanged_names_resolve_from_the_project(tmp_path, project):
    source = make_particle_set(tmp_path / "data", stack="Extract/job005/Movies/m{}.mrcs")
    enter_particles(source, project)
    names = list(read_table(project / OUT).particles["rlnImageName"])
    assert names[0] == "000001@Extract/job005/Movies/m0.mrcs"
    link = project / "Extract/job005/Movies/m0.mrcs"
    assert link.is_symlink()
    assert ParticleStack(names, project).read([0, 19]).shape == (2, 16, 16)


def test_names_are_looked_for_in_the_parents_of_the_star_file(tmp_path, project):
    source = make_particle_set(tmp_path / "other", star="Select/job009/particles.star", stack="Extract/job005/m{}.mrcs")
    enter_particles(source, project)
    assert (project / "Extract/job005/m0.mrcs").resolve() == (tmp_path / "other/Extract/job005/m0.mrcs").resolve()


def test_names_are_looked_for_in_stacks_root_last(tmp_path, project):
    source = make_particle_set(tmp_path / "a", stack="m{}.mrcs")
    moved = tmp_path / "elsewhere" / "particles.star"
    moved.parent.mkdir()
    source.rename(moved)
    with pytest.raises(ValueError, match="stacks are missing"):
        enter_particles(moved, project)
    enter_particles(moved, project, stacks_root=str(tmp_path / "a"))
    assert (project / "m0.mrcs").resolve() == (tmp_path / "a/m0.mrcs").resolve()


def test_a_stack_called_mrc_is_linked_below_source_and_its_name_kept(tmp_path, project):
    source = make_particle_set(tmp_path / "data", stack="stacks/m{}.mrc")
    enter_particles(source, project)
    particles = read_table(project / OUT).particles
    assert particles["rlnImageName"][0] == "000001@Extract/job001/source/stacks/m0.mrcs"
    assert particles["winnowSourceImageName"][0] == "000001@stacks/m0.mrc"
    assert ParticleStack(list(particles["rlnImageName"]), project).read([3]).shape == (1, 16, 16)


def test_a_constant_and_a_nan_image_are_left_out_and_listed(tmp_path, project, caplog):
    source = make_particle_set(tmp_path / "data", n=100, constant=[4], not_finite=[60])
    entered = enter_particles(source, project)
    assert (entered.n_particles, entered.n_left_out) == (98, 2)
    names = list(read_table(source).particles["rlnImageName"])
    kept = list(read_table(project / OUT).particles["rlnImageName"])
    assert kept == [name for row, name in enumerate(names) if row not in (4, 60)]
    lines = (project / "Extract/job001/left_out.tsv").read_text().splitlines()
    assert lines == [
        "image_name\trow\treason",
        f"{names[4]}\t5\tconstant image",
        f"{names[60]}\t61\tnot a number among the pixels",
    ]
    assert "2 of 100 images" in caplog.text


def test_problems_of_tables_headers_and_pixels_are_told_together(tmp_path, project):
    source = make_particle_set(tmp_path / "data", constant=[0, 1, 2])
    table = make_table(source)
    table.particles.loc[3, "rlnDefocusU"] = "nan"
    table.particles.loc[4, "rlnImageName"] = "000001@gone.mrcs"
    table.particles.loc[5, "rlnImageName"] = "000099@m0.mrcs"
    write_table(source, table)
    with pytest.raises(ValueError, match="rlnDefocusU") as caught:
        enter_particles(source, project)
    told = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    for part in (
        "row 4: rlnDefocusU is nan",
        "missing: gone.mrcs",
        "row 6: the image index is beyond",
        "cannot be used",
    ):
        assert part in told
    assert not (project / OUT).exists()
    assert not (project / "m0.mrcs").exists()


def test_what_later_rounds_ask_is_told_with_the_problems_of_the_input(tmp_path, project):
    source = make_particle_set(tmp_path / "data", constant=[7])
    rounds = [PlannedRound(1, 32, 19), PlannedRound(2, 33, 20), PlannedRound(3, 33, 3)]
    table = make_table(source)
    table.particles.loc[3, "rlnDefocusU"] = "nan"
    write_table(source, table)
    with pytest.raises(ValueError, match="rlnDefocusU") as caught:
        enter_particles(source, project, rounds=rounds)
    assert caught.value.problems[1:] == (
        "rounds 2, 3: class2d.particle_diameter: 33 A is larger than the box (16 px of 2 A = 32 A); give the mask "
        "diameter of your particle.",
        "round 2: class2d.nr_classes: 20 classes for 19 particles; ask for fewer.",
    )
    enter_particles(make_particle_set(tmp_path / "good", constant=[7]), project, rounds=rounds[:1])


def test_entering_twice_gives_the_same_bytes(tmp_path, project):
    source = make_particle_set(tmp_path / "data")
    enter_particles(source, project)
    first = (project / OUT).read_bytes()
    enter_particles(source, project)
    assert (project / OUT).read_bytes() == first


def test_a_second_set_with_the_same_stack_names_does_not_get_the_first_ones_pixels(tmp_path, project):
    enter_particles(make_particle_set(tmp_path / "a"), project)
    enter_particles(make_particle_set(tmp_path / "b", n=10), project)
    assert (project / "m0.mrcs").resolve() == (tmp_path / "b/m0.mrcs").resolve()
    assert not (project / "m1.mrcs").is_symlink()


def test_an_optics_group_without_particles_is_dropped_with_a_warning(tmp_path, project, caplog):
    source = make_particle_set(tmp_path / "data")
    table = make_table(source)
    table.optics = table.optics.iloc[[0, 0]].reset_index(drop=True)
    table.optics.loc[1, "rlnOpticsGroup"] = "2"
    assert len(table.optics) == 2
    write_table(source, table)
    enter_particles(source, project)
    assert list(read_table(project / OUT).optics["rlnOpticsGroup"]) == ["1"]
    assert "no particle belongs to optics group 2" in caplog.text


def test_a_group_numbered_otherwise_becomes_group_one(tmp_path, project):
    source = make_particle_set(tmp_path / "data", group="7")
    enter_particles(source, project)
    after = read_table(project / OUT)
    assert list(after.optics["rlnOpticsGroup"]) == ["1"]
    assert set(after.particles["rlnOpticsGroup"]) == {"1"}


def test_a_file_without_optics_table_is_converted(tmp_path, project):
    make_particle_set(tmp_path / "data")
    source = tmp_path / "data" / "old.star"
    labels = ["rlnImageName", "rlnDefocusU", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"]
    labels += ["rlnMagnification", "rlnDetectorPixelSize", "rlnMicrographName"]
    head = "\ndata_\n\nloop_\n" + "".join(f"_{label} #{number}\n" for number, label in enumerate(labels, start=1))
    rows = [f"{number}@m0.mrcs 10000 300 2.7 0.1 10000 2.0 mic.mrc" for number in range(1, 11)]
    source.write_text(head + "\n".join(rows) + "\n")
    enter_particles(source, project)
    after = read_table(project / OUT)
    assert after.particles["rlnImageName"][9] == "10@m0.mrcs"
    assert float(after.optics["rlnImagePixelSize"][0]) == 2.0
    assert after.optics["rlnImageSize"][0] == "16"


def test_all_problems_of_a_file_without_optics_table_are_told_together(tmp_path, project):
    make_particle_set(tmp_path / "data")
    source = tmp_path / "data" / "old.star"
    labels = ["rlnImageName", "rlnDefocusU", "rlnSphericalAberration", "rlnAmplitudeContrast"]
    labels += ["rlnMagnification", "rlnDetectorPixelSize", "rlnMicrographName"]
    head = "\ndata_\n\nloop_\n" + "".join(f"_{label} #{number}\n" for number, label in enumerate(labels, start=1))
    rows = ["1@m0.mrcs 10000 2.7 0.1 0 2.0 mic.mrc", "2@m0.mrcs none x 0.1 1e4 2.0 mic.mrc"]
    source.write_text(head + "\n".join([*rows, "1@gone.mrcs 10000 2.7 0.1 1e4 2.0 mic.mrc"]) + "\n")
    with pytest.raises(ValueError, match="rlnVoltage") as caught:
        enter_particles(source, project)
    expected = (
        "lacks rlnVoltage: the wavelength of the CTF cannot be known",
        "row 2: rlnSphericalAberration is 'x', expected a number",
        "row 1: rlnMagnification is 0, expected a number above 0 for the pixel size",
        "row 2: rlnDefocusU is none",
        "1 of 2 stacks are missing: gone.mrcs",
    )
    assert len(caught.value.problems) == len(expected)
    for told, words in zip(caught.value.problems, expected, strict=True):
        assert words in told


def test_problems_of_the_optics_table_and_missing_columns_are_told_together(tmp_path, project):
    source = make_particle_set(tmp_path / "data")
    table = make_table(source)
    del table.particles["rlnDefocusU"]
    del table.optics["rlnVoltage"]
    table.particles.loc[1, "rlnOpticsGroup"] = "3"
    write_table(source, table)
    with pytest.raises(ValueError, match="rlnVoltage") as caught:
        enter_particles(source, project)
    assert len(caught.value.problems) == 3


def test_an_image_size_missing_in_the_optics_table_is_taken_from_the_stacks(tmp_path, project, caplog):
    source = make_particle_set(tmp_path / "data")
    table = make_table(source)
    del table.optics["rlnImageSize"]
    write_table(source, table)
    enter_particles(source, project)
    assert list(read_table(project / OUT).optics["rlnImageSize"]) == ["16"]
    assert "16 px was taken from the stacks" in caplog.text


def test_groups_of_different_boxes_enter_and_are_numbered(tmp_path, project):
    assert enter_particles(make_two_groups(tmp_path / "data"), project).n_particles == 20
    after = read_table(project / OUT)
    assert list(after.optics["rlnOpticsGroup"]) == ["1", "2"]
    assert list(after.particles["rlnOpticsGroup"]) == ["1"] * 10 + ["2"] * 10


def test_a_stack_must_have_the_box_of_its_group(tmp_path, project):
    with pytest.raises(ValueError, match="1 of 2 stacks: the box is not 24 px") as caught:
        enter_particles(make_two_groups(tmp_path / "data", box=16), project)
    assert "m1.mrcs (16 x 16 px)" in str(caught.value)


def test_the_mask_must_fit_into_the_smallest_box(tmp_path, project):
    source = make_two_groups(tmp_path / "data", rlnImagePixelSize=["2.0", "1.0"])
    with pytest.raises(ValueError, match=r"30 A is larger than the box \(24 px of 1 A = 24 A\)"):
        enter_particles(source, project, rounds=[PlannedRound(1, 30.0, 2)])
    enter_particles(source, project, rounds=[PlannedRound(1, 24.0, 2)])


def test_boxes_of_several_groups_are_taken_from_their_stacks(tmp_path, project):
    source = make_two_groups(tmp_path / "data")
    table = make_table(source)
    del table.optics["rlnImageSize"]
    write_table(source, table)
    enter_particles(source, project)
    assert list(read_table(project / OUT).optics["rlnImageSize"]) == ["16", "24"]
