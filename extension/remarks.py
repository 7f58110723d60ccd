"""What is said of a generation: below its picture, and in its parameters where something was not done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modules import shared

from ..editing.errors import EditError

NOT_DONE_KEY = "Edit Assumption not done"
"""In a picture's parameters, which the API answers with: sentences about what was asked for and is not in the picture."""


class Refusal(EditError):
    """What ends a generation in one sentence: the page puts the class's name before it, the API answers with the status.

    Args:
        error: what is wrong.
    """

    def __init__(self, error: EditError) -> None:
        super().__init__(str(error))
        self.status_code, self.detail = 422, str(error)


Refusal.__name__ = "Edit Assumption"


def say(p: Any, report: Callable[[], str]) -> None:
    """Below the picture, unless the settings say no.

    Args:
        p: the WebUI's processing object.
        report: gives lines.
    """
    if shared.opts.data.get("edit_assumption_report", True):
        p.comment("Edit Assumption: " + "; ".join(report().splitlines()))


def say_not_done(p: Any, sentence: str) -> None:
    """Below the picture and in its parameters, whatever the settings say.

    Args:
        p: the WebUI's processing object.
        sentence: what is not in the picture, and why.
    """
    p.comment(f"Edit Assumption: {sentence}")
    said = p.extra_generation_params.get(NOT_DONE_KEY, "").splitlines()
    p.extra_generation_params[NOT_DONE_KEY] = "\n".join(dict.fromkeys([*said, sentence]))
