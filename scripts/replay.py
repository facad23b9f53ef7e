"""Choose again from the record of every round, and compare: python scripts/replay.py [PROJECT]."""

import sys
from pathlib import Path

from winnow2d.choice_replay import replay_project
from winnow2d.errors import WinnowError

HELP = "usage: python scripts/replay.py [PROJECT]   (the directory with Select and report; default: this one)"


def main(arguments: list[str]) -> int:
    """Print the outcome of every round of a project; return the exit status, 1 where anything differs."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(HELP)  # noqa: T201 (a command talks to its user)
        return 0 if len(arguments) == 1 else 2
    try:
        replays = replay_project(Path(*arguments))
    except WinnowError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    for replay in replays:
        print(replay.sentence)  # noqa: T201
    return 1 if any(replay.differences for replay in replays) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
