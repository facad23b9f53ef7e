import score_demo
from report_records import make_round, make_truth
from winnow2d.formats.ledger import write_particle_ledger
from winnow2d.formats.star import write_star


def write_ledger(project, number, names, class_index, kept):
    path = project / f"report/round_{number:02d}/particles.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_particle_ledger(path, names, class_index, class_index * 0.0, kept, ["a rule"] * len(kept))


def test_score_of_a_demo_is_printed_per_round(project, capsys):
    record, truth = make_round(1, 40, n_classes=4), make_truth(40)
    (project / "Extract/job001").mkdir(parents=True)
    write_star(project / "Extract/job001/truth.star", {"truth": truth})
    names = record.particle_ledger["image_name"].to_numpy()
    class_index = record.iteration.particles.class_index
    write_ledger(project, 1, names, class_index, [True, True, False, True])  # every fourth particle is ice
    entered = class_index != 2
    write_ledger(project, 2, names[entered], class_index[entered], [True, True, True, False])

    assert score_demo.main([str(project)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Input: 40 particles, 30 good and 10 junk",
        "Round 1: kept 20 of 30 good and 10 of 10 junk particles; precision 0.667, recall 0.667 (of the input 0.667)",
        "Round 2: kept 20 of 20 good and 0 of 10 junk particles; precision 1.000, recall 1.000 (of the input 0.667)",
    ]


def test_a_project_without_truth_or_rounds_is_told(project, capsys):
    assert score_demo.main([str(project)]) == 1
    assert "only the demo" in capsys.readouterr().err
    (project / "Extract/job001").mkdir(parents=True)
    write_star(project / "Extract/job001/truth.star", {"truth": make_truth(4)})
    assert score_demo.main([str(project)]) == 1
    assert "let the demo finish its first round" in capsys.readouterr().err


def test_help_and_wrong_arguments():
    assert score_demo.main(["--help"]) == 0
    assert score_demo.main([]) == 2
