import score_demo
from report_records import make_round, make_truth
from winnow2d.formats.jobs import JobFile, write_job_star
from winnow2d.formats.ledger import write_particle_ledger
from winnow2d.formats.star import write_star
from winnow2d.options import OwnOptions


def ledger_path(number):
    return f"report/round_{number:02d}/particles.tsv"


def write_report_job(project, n_rounds):
    """Write the job.star of a report on so many rounds."""
    (project / "report").mkdir(exist_ok=True)
    inputs = {"particle_ledgers": [ledger_path(number) for number in range(1, n_rounds + 1)]}
    job = JobFile("winnow.report", None, None, OwnOptions(), inputs, {"page": "report/index.html"})
    write_job_star(project / "report/job.star", job)


def write_ledger(project, number, names, class_index, kept):
    path = project / ledger_path(number)
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

    write_report_job(project, 2)
    assert score_demo.main([str(project)]) == 0
    of_both = capsys.readouterr().out.splitlines()
    assert of_both == [
        "Input: 40 particles, 30 good and 10 junk",
        "Round 1: kept 20 of 30 good and 10 of 10 junk particles; precision 0.667, recall 0.667 (of the input 0.667)",
        "Round 2: kept 20 of 20 good and 0 of 10 junk particles; precision 1.000, recall 1.000 (of the input 0.667)",
    ]
    write_report_job(project, 1)  # the second round was taken out of the config; its ledger stays
    assert score_demo.main([str(project)]) == 0
    assert capsys.readouterr().out.splitlines() == of_both[:2]


def test_a_project_without_truth_or_rounds_is_told(project, capsys):
    assert score_demo.main([str(project)]) == 1
    assert "only the demo" in capsys.readouterr().err
    (project / "Extract/job001").mkdir(parents=True)
    write_star(project / "Extract/job001/truth.star", {"truth": make_truth(4)})
    assert score_demo.main([str(project)]) == 1
    assert "let the demo finish its report" in capsys.readouterr().err


def test_help_and_wrong_arguments():
    assert score_demo.main(["--help"]) == 0
    assert score_demo.main([]) == 2
