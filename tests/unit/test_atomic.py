"""Files that are whole or absent, at once or behind the work that follows."""

import contextlib
import signal
import threading
from pathlib import Path

import pytest

from winnow2d.formats import atomic
from winnow2d.formats.atomic import Behind, replaced


def write(path, text, behind=None):
    with replaced(path, behind=behind) as [temporary]:
        temporary.write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_raises_changes_nothing(tmp_path):
    write(tmp_path / "a", "old")
    with contextlib.suppress(KeyError), replaced(tmp_path / "a", tmp_path / "b") as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
        raise KeyError
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_nothing_is_renamed_unless_all_was_written(tmp_path):
    write(tmp_path / "a", "old")
    with pytest.raises(FileNotFoundError), replaced(tmp_path / "a", tmp_path / "b") as temporaries:
        temporaries[0].write_text("new")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.fixture
def slow_disk(monkeypatch):
    """Hold the disk up until the event that is returned."""
    go_on = threading.Event()
    monkeypatch.setattr(atomic, "flush", lambda path: go_on.wait(10))
    return go_on


def test_files_appear_behind_what_follows_in_their_order(tmp_path, slow_disk):
    seen = []
    with Behind() as behind:
        for number in range(3):
            write(tmp_path / f"{number}", "new", behind)
            behind.do(lambda: seen.append([name for name in names(tmp_path) if not name.startswith(".")]))
            if number == 0:
                assert not (tmp_path / "0").exists()
                slow_disk.set()
    assert seen == [["0"], ["0", "1"], ["0", "1", "2"]]
    assert names(tmp_path) == ["0", "1", "2"]


def test_one_file_may_wait_for_the_disk_twice(tmp_path, slow_disk):
    with Behind() as behind:
        write(tmp_path / "a", "first", behind)
        write(tmp_path / "a", "second", behind)
        slow_disk.set()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "second"


def test_a_disk_that_cannot_follow_holds_the_owner_up(slow_disk):
    with Behind() as behind:
        threading.Timer(0.1, slow_disk.set).start()
        for _ in range(20):
            behind.do(lambda: slow_disk.wait(10))
        assert slow_disk.is_set()


def full_disk(path):
    raise OSError(28, "No space left on device")


def test_an_error_is_raised_from_what_follows_and_nothing_after_it_is_done(tmp_path, monkeypatch):
    with Behind() as behind:
        write(tmp_path / "good", "x", behind)
    monkeypatch.setattr(atomic, "flush", full_disk)
    with contextlib.suppress(OSError), Behind() as behind:
        for number in range(20):
            write(tmp_path / f"{number}", "x", behind)
        pytest.fail("no error was raised")
    assert names(tmp_path) == ["good"]


def test_what_waited_behind_an_error_leaves_nothing(tmp_path, slow_disk):
    """None of it is done, so none of it removes what it had written aside by itself."""
    with contextlib.suppress(OSError), Behind() as behind:
        behind.do(lambda: slow_disk.wait(10) and full_disk(""))
        for number in range(2):
            write(tmp_path / f"{number}", "x", behind)
        slow_disk.set()
    assert names(tmp_path) == []


class Interrupted(BaseException):
    pass


@pytest.fixture
def interrupt_soon(slow_disk):
    """Return a function that has a signal interrupt what follows, and the disk go on only after that."""

    def interrupt(*arguments):
        raise Interrupted

    def soon():
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        threading.Timer(0.3, slow_disk.set).start()

    former = signal.signal(signal.SIGALRM, interrupt)
    yield soon
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)


def test_a_signal_while_the_disk_holds_up_leaves_nothing_written_aside(tmp_path, interrupt_soon):
    with contextlib.suppress(Interrupted), Behind() as behind:
        interrupt_soon()
        for number in range(20):
            write(tmp_path / f"{number:02d}", "x", behind)
        pytest.fail("no signal came")
    assert names(tmp_path) == ["00", "01", "02", "03"]  # those that were given before


def test_a_signal_at_the_end_waits_for_what_was_given(tmp_path, interrupt_soon):
    with contextlib.suppress(Interrupted), Behind() as behind:
        for number in range(3):
            write(tmp_path / f"{number}", "x", behind)
        interrupt_soon()
    assert names(tmp_path) == ["0", "1", "2"]


def test_the_last_error_is_raised_from_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "flush", full_disk)
    with pytest.raises(OSError, match="No space"), Behind() as behind:
        write(tmp_path / "a", "x", behind)
    assert names(tmp_path) == []


def test_an_error_of_the_owner_is_not_hidden_by_one_of_the_disk(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(atomic, "flush", full_disk)
    with contextlib.suppress(KeyError), Behind() as behind:
        write(tmp_path / "a", "x", behind)
        raise KeyError
    assert "No space left" in caplog.text


def test_everything_given_is_done_when_the_owner_is_interrupted(tmp_path):
    with contextlib.suppress(KeyboardInterrupt), Behind() as behind:
        for number in range(4):
            write(tmp_path / f"{number}", "x", behind)
        raise KeyboardInterrupt
    assert names(tmp_path) == ["0", "1", "2", "3"]


def test_tasks_are_counted(tmp_path):
    counted = []

    def count(task):
        counted.append(Path)
        return task

    with Behind(counted=count) as behind:
        write(tmp_path / "a", "x", behind)
    assert len(counted) == 1
