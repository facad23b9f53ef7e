"""What a terminal shows of a running job."""

import io

from winnow2d.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, *updates):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    bar = ProgressBar("Class2D/job011")
    for done, total, text in updates:
        bar.update(done, total, text)
    bar.end_line()
    return terminal.getvalue().split("\r\x1b[K")[1:]


def test_the_bar_shows_how_far_and_what_the_job_says(monkeypatch):
    lines = shown(monkeypatch, (0, 4, ""), (2, 4, "Pmax 0.5, 0:10 left"), (4, 4, "Pmax 0.6, 0:00 left"))
    assert lines[0].startswith("Class2D/job011 [------------------------] 0/4")
    assert lines[1] == "Class2D/job011 [############------------] 2/4 Pmax 0.5, 0:10 left"
    assert lines[2] == "Class2D/job011 [########################] 4/4 Pmax 0.6, 0:00 left\n"


def test_the_bar_guesses_no_time_of_its_own(monkeypatch):
    """A job that goes on at 90 of 100 has not done 90 in the time since it started."""
    (line,) = shown(monkeypatch, (90, 100, "0:40 left"))
    assert "to go" not in line
    assert line.endswith("90/100 0:40 left\n")


def test_without_a_terminal_nothing_is_drawn(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    ProgressBar("x").update(1, 2, "text")
    assert stream.getvalue() == ""
