"""What a command says when it was given something that it cannot use."""

from collections.abc import Iterator
from contextlib import contextmanager

from mien.text import one_line

MAX_CHARACTERS = 600


class Refusal(Exception):
    """The user's input cannot be used: shown as one line, exit code 2, no traceback."""


@contextmanager
def refusing(
    subject: str = "", kinds: tuple[type[Exception], ...] = (ValueError, OSError)
) -> Iterator[None]:
    """Turn the errors of bad input into a :class:`Refusal`.

    Libraries raise `ValueError` for wrong input. Only around the steps that read and check what
    the user gave is it the user's to mend; elsewhere it is a bug of ours and keeps its traceback.

    Args:
        subject: What was being read, put before the message (a path, a flag).
        kinds: Errors that are the user's to mend here.
    """
    try:
        yield
    except kinds as error:
        message = describe(error)
        if subject and subject not in message:
            message = f"{subject}: {message}"
        raise Refusal(message) from error


def describe(error: BaseException) -> str:
    """An error's message on one line."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error) or type(error).__name__
    return one_line(text, MAX_CHARACTERS)
