"""Saved edits read from their files, and several of them put on a MODEL and a CLIP at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...editing.any_edit import AnyEdit
from ...editing.assumptions.prompt_pair import check_strength
from ...editing.assumptions.recipe import together
from ...editing.carried_edits import carried_besides
from ...editing.concepts.concept_edit import ConceptEdit
from ...editing.concepts.concept_report import describe_concepts
from ...editing.edit_file import load_edit
from ...editing.errors import EditError
from ...editing.wording import first_named, percent
from .clip_encoder import ComfyEncoder
from .edited_model import ModelEditor
from .paths import ENDING, edit_path, saved_edits
from .text_encoders import concept_edits_on, text_encoders, with_edit

_LATER = "made behind layers of {}’s own: with the CLIP connected, Apply Edit checks whether it is for this encoder"
_GONE = "The edit “{}” is no longer there; choose another one."


def file_state(name: str) -> str:
    """Changes when the file of a saved edit does."""
    path = edit_path(name)
    try:
        stat = Path(path or name).stat()
    except OSError:  # it is gone, or just being replaced
        return name
    return f"{name} {stat.st_mtime_ns} {stat.st_size}"


def existing_path(name: str) -> str:
    """The file of a saved edit. Raises :class:`EditError` where it is gone."""
    path = edit_path(name)
    if path is None:
        raise EditError(_GONE.format(name))
    return path


def read_edit(name: str, clip: Any) -> tuple[AnyEdit, str]:
    """A saved edit, and a remark where the CLIP is a relative of the one that it was made for.

    Raises:
        EditError: it is gone, cannot be read, or is for another CLIP.
    """
    edit = load_edit(existing_path(name))
    if isinstance(edit, ConceptEdit):
        return edit, edit.check_encoders(text_encoders(clip))
    if edit.layers:
        return edit, _LATER.format(edit.layers)
    return edit, edit.check_encoder(ComfyEncoder(clip))


def saved_as(written: str) -> str:
    """The file of a saved edit as people call it: in any case, its ending, its number and its folder left out or not.

    Raises:
        EditError: there is none, or there are several.
    """
    wanted, names = _plain(written), saved_edits()
    for form in (_plain, _without_number, _without_folder, lambda name: _without_number(_without_folder(name))):
        matches = [name for name in names if form(name) == wanted]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise EditError(f"Several edits are called “{written}”; write one of {first_named(matches)}.")
    known = f"saved edits are {first_named(names)}" if names else "save one with Save Edit"
    raise EditError(f"No edit is saved as “{written}”; {known}.")


def _plain(name: str) -> str:
    return name.replace("\\", "/").lower().removesuffix(ENDING).strip()


def _without_folder(name: str) -> str:
    return _plain(name).rpartition("/")[2]


def _without_number(name: str) -> str:
    return re.sub(r"_\d{5,}_$", "", _plain(name))


def strength_remark(strength: float) -> list[str]:
    """Said of an edit that is not put on as it was made."""
    return [] if strength == 1 else [f"applied at {percent(strength)} of its strength"]


def onto_clip(clip: Any, edit: ConceptEdit, strength: float, remark: str) -> tuple[Any, str]:
    """A CLIP that carries an edit of concepts, and the report."""
    changed = with_edit(clip, edit, strength)
    besides = carried_besides("CLIP", concept_edits_on(changed), edit.recipe)
    remarks = [*strength_remark(strength), *([remark] if remark else []), *besides]
    return changed, describe_concepts(edit, remarks)


def put_saved_on(model: Any, clip: Any, wanted: Sequence[tuple[str, float]]) -> tuple[Any, Any, str]:
    """A MODEL and a CLIP that carry saved edits, and the report.

    Those of concepts come first, in their order, since the others are made in the space of the CLIP that prompts are encoded
    with. The others are solved together, as in a chain of Apply Edit nodes.

    Args:
        model, clip: not changed.
        wanted: names of saved edits and their strengths; those at 0 are left out.

    Raises:
        EditError: an edit is gone, is not for this CLIP or this model, or its strength leaves the limits.
    """
    reports, recipes, changed = [], [], clip
    for name, strength in wanted:
        with _named(name):
            if check_strength(strength) == 0:
                continue
            edit, remark = read_edit(name, clip)
            if isinstance(edit, ConceptEdit):
                changed, report = onto_clip(changed, edit, strength, remark)
                reports.append(report)
            else:
                recipes.append(edit.recipe.scale(strength))
    for recipe in together(recipes):
        editor = ModelEditor(model, changed)
        solved = editor.solve(recipe)
        model = solved.model
        reports.append(editor.report(solved))
    return model, changed, "\n".join(reports) or "No edit is on: the model and the CLIP are unchanged."


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors in the block say which saved edit they are about."""
    try:
        yield
    except EditError as error:
        raise error if name in str(error) else EditError(f"“{name}”: {error}") from error
