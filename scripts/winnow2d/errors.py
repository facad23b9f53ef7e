"""Mistakes a user can put right, one class per kind; all are ValueErrors and are shown without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager


class WinnowError(ValueError):
    """A problem in what the user gave us; `problems` holds one sentence each."""

    def __init__(self, *problems: str):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@contextmanager
def problems_of(name: object) -> Iterator[None]:
    """Have every problem that is raised within begin with a name, such as a file's."""
    try:
        yield
    except WinnowError as error:
        raise type(error)(*(f"{name}: {problem}" for problem in error.problems)) from None


class ConfigError(WinnowError):
    """The configuration is wrong: unknown key, bad value, unsupported option."""


class StarError(WinnowError):
    """A STAR file is unreadable or its tables do not fit together."""


class ImageError(WinnowError):
    """An image stack is missing, truncated, or its pixels cannot be used."""


class ResourceError(WinnowError):
    """The machine has not what the job needs."""


class JobError(WinnowError):
    """A job directory, its lock or the project around it is not in the expected state."""
