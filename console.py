"""What the commands share: output for terminals of any encoding, and errors as one sentence."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from .editing.errors import EditError

_PLAIN = {
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "−": "-", "…": "...", "→": "->", "←": "<-",
    "×": "x", "·": "*", "≤": "<=", "≥": ">=", "±": "+/-", "λ": "lambda", "\u00a0": " ", "\u202f": " ",
}  # fmt: skip
_PLAINER = "edit_assumption_plainer"


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """For :mod:`codecs`: what is nearest in ASCII, else the character's number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(_PLAIN.get(each, each.encode("ascii", "backslashreplace").decode()) for each in unknown), error.end


codecs.register_error(_PLAINER, _plainer)


class _Remarks:
    """A stream for progress bars and remarks: where it cannot be written, as on a full disk, the work goes on without.

    Args:
        stream: the real one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def plain_output() -> None:
    """From now on the output's encoding refuses no character, and a remark that cannot be written stops no work."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_PLAINER)
    if sys.stderr is not None and not isinstance(sys.stderr, _Remarks):
        sys.stderr = _Remarks(sys.stderr)


def run(command: Callable[[], str], kept: Callable[[], str] = str) -> int:
    """Run a command and print what it says. What is wrong with a request is one sentence.

    Args:
        command: works, and gives what there is to say.
        kept: what to add when the user stops it.

    Returns:
        The exit code: 0 when it worked, 2 after a sentence on what to do instead, 130 when it was stopped.
    """
    plain_output()
    try:
        if said := command():
            _print(said)
    except KeyboardInterrupt:
        print("Stopped.", kept(), file=sys.stderr)
        return 130
    except EditError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f'The package “{error.name}” is missing; run: pip install -e ".[demo]"', file=sys.stderr)
        return 2
    return 0


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError as error:
        with suppress(OSError):  # or Python tries again when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise EditError(f"All is done, but the report cannot be printed ({error.strerror}).") from error
