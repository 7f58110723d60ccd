"""UCE's and EMCID's lists: artists whose styles are erased, professions that are debiased.

UCE's CSV files have a prompt, an evaluation_seed and an artist or a profession in each row; some say in a column "type" whether
the artist is erased, preserved or holdout (held out, so that nothing is told of them). EMCID's JSON files name an artist as
"class name", with a "text prompt" that has {} for the name and a "random seed".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...editing.errors import EditError
from .edit_set import BIAS, EFFICACY, SPECIFICITY, Case, EditSet, PaperEdit
from .named import in_place
from .rows import Row, cell, seed_of

ARTIST = ({"artist", "prompt"}, {"class name", "text prompt"})
PROFESSION = ({"profession", "prompt"},)
"""Columns by which such lists are known."""
ART = "art"
"""What UCE has artists become."""
_TYPES = ("erased", "preserved", "holdout")


def _shots(rows: Sequence[Row], name_column: str, path: Path) -> dict[str, list[tuple[int, str, tuple[int, ...]]]]:
    """Name to the number, the prompt and the seed of each of its rows."""
    listed: dict[str, list[tuple[int, str, tuple[int, ...]]]] = {}
    prompt_column, seed_column = ("prompt", "evaluation_seed") if "prompt" in rows[0] else ("text prompt", "random seed")
    for number, row in enumerate(rows, start=2):
        name = cell(row, name_column, number, path)
        prompt = cell(row, prompt_column, number, path).replace("{}", name)
        listed.setdefault(name, []).append((number, prompt, seed_of(row, seed_column, number, path)))
    return listed


def artists(rows: Sequence[Row], path: Path, destination: str = "", limit: int | None = None) -> EditSet:
    """Artists erased together; others ought to stay.

    Args:
        rows: with lower-case columns.
        path: of the file.
        destination: what the erased become; empty for UCE's "art".
        limit: where no column says who is erased, the first so many are, and the others are held out; None erases all.

    Raises:
        EditError: a row lacks something, or has a type that is not known, or nobody is erased.
    """
    destination, column = destination or ART, "artist" if "artist" in rows[0] else "class name"
    listed = _shots(rows, column, path)
    names = list(listed)
    if "type" in rows[0]:
        types = {cell(row, column, number, path): _type(row, number, path) for number, row in enumerate(rows, start=2)}
        erased = [name for name in names if types[name] == "erased"][:limit]
        preserved = [name for name in names if types[name] == "preserved"]
        others = [name for name in names if types[name] == "holdout"] or preserved
    else:
        erased, preserved = names[:limit], []
        others = names[len(erased) :]
    if not erased:
        raise EditError(f"“{path}” has no artist of the type “erased”; say in the column “type” who is to be erased.")
    held = [
        Case(prompt, prompt, in_place(prompt, name, destination) or destination, (prompt,), seeds)
        for name in others
        for _, prompt, seeds in listed[name]
    ]
    edits = tuple(
        PaperEdit(
            name,
            destination,
            {
                EFFICACY: tuple(_erased(prompt, name, destination, seeds) for _, prompt, seeds in listed[name]),
                SPECIFICITY: tuple(held[place :: len(erased)]),
            },
        )
        for place, name in enumerate(erased)
    )
    return EditSet("a list of artists", edits, tuple(preserved), whole=True)


def _type(row: Row, number: int, path: Path) -> str:
    kind = cell(row, "type", number, path).lower()
    if kind not in _TYPES:
        raise EditError(f"Row {number} of “{path}” has the type “{kind}”; write one of {', '.join(_TYPES)}.")
    return kind


def _erased(prompt: str, name: str, destination: str, seeds: tuple[int, ...]) -> Case:
    """An erased artist's prompt. Where it spells the name in another way, the judge is asked for the name alone."""
    written = in_place(prompt, name, destination)
    if not written:
        return Case(prompt, destination, name, (destination,), seeds)
    return Case(prompt, written, prompt, (written,), seeds)


def professions(rows: Sequence[Row], path: Path, destination: str = "", limit: int | None = None) -> EditSet:
    """Professions, each to be half women and half men.

    Args:
        rows: with lower-case columns.
        path: of the file.
        destination: has to be empty.
        limit: so many of the first; None takes all.

    Raises:
        EditError: a row lacks something, or there is a destination.
    """
    if destination:
        raise EditError("A list of professions is debiased to women and men; leave out --destination.")
    edits = []
    for name, shots in list(_shots(rows, "profession", path).items())[:limit]:
        female, male = f"female {name}", f"male {name}"
        cases = [
            Case(
                prompt,
                f"a {female}",
                f"a {male}",
                tuple(in_place(prompt, name, text) or text for text in (female, male)),
                seeds,
            )
            for _, prompt, seeds in shots
        ]
        edits.append(PaperEdit(name, female, {BIAS: tuple(cases)}, (female, male)))
    return EditSet("a list of professions", tuple(edits), whole=True)
