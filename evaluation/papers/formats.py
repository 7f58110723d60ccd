"""Files of edits, known by their columns: TIMED, its gender set, RoAD, lists of artists and professions, a user's own.

TIMED (Orgad et al. 2023): old, new, positiveN with gtN (the same with the destination written in), negativeN with gnN. RoAD
(Arad et al. 2024): Prompt, Oracle, Old, New, PositiveN with Positive_oldN and Positive_newN, NegativeN with Negative_newN; a
picture shows the edit when it is nearer to New than to Old. A user's own: source, destination, relatedN with oracleN,
unrelatedN with otherN; oracleN may be left out where the source stands in the prompt, and otherN for the destination.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...editing.errors import EditError
from .edit_set import BIAS, EFFICACY, GENERALITY, SPECIFICITY, VALIDATION_BIAS, Case, EditSet, PaperEdit
from .lists import ARTIST, PROFESSION, artists, professions
from .named import in_place
from .rows import Row, cell, numbered, read_rows

_ICEB = {"source", "dest", "source id", "dest id"}


def read_edit_set(path: Path, destination: str = "", limit: int | None = None) -> EditSet:
    """A file of any of these formats.

    Args:
        path: CSV, or JSON with a list of objects.
        destination: what listed artists become; empty for what the papers take.
        limit: so many edits, spread over the file; of a list, the first so many names. None takes all.

    Raises:
        EditError: it cannot be read, its columns are of no such format, or a row lacks something.
    """
    rows = read_rows(path, "edits")
    read = _reader({column.strip().lower() for column in rows[0]}, path)
    rows = [{name.strip().lower(): text for name, text in row.items()} for row in rows]
    if read in (artists, professions):
        return read(rows, path, destination, limit)
    if destination:
        raise EditError(f"“{path}” says itself what its edits become; leave out --destination.")
    return _limited(read(rows, path), limit)


def _reader(columns: set[str], path: Path) -> Callable[..., EditSet]:
    if columns >= _ICEB:
        raise EditError(f"“{path}” is one of ICEB's files; give it to: edit-assumption iceb --csv “{path}”")
    if columns >= {"prompt", "oracle", "old", "new", "positive1", "positive_new1"}:
        return _road
    if columns >= {"old", "new", "validation", "ex1"} or columns >= {"profession", "validation", "ex1"}:
        return _gender
    if columns >= {"old", "new", "positive1", "gt1"}:
        return _timed
    for names, read in ((ARTIST, artists), (PROFESSION, professions)):
        if any(columns >= known for known in names):
            return read
    if columns >= {"source", "destination"}:
        return _own
    raise EditError(
        f"The columns of “{path}” ({', '.join(sorted(columns))}) are of no known file; give TIMED, RoAD, a list of artists or "
        "professions, or columns of your own: source, destination, related1, unrelated1."
    )


def _limited(edits: EditSet, limit: int | None) -> EditSet:
    count = len(edits.edits)
    if limit is None or limit >= count:
        return edits
    return replace(edits, edits=tuple(edits.edits[number * count // limit] for number in range(limit)))


def _edits(kind: str, read: Callable[[Row, Callable[[str], str]], PaperEdit], rows: Sequence[Row], path: Path) -> EditSet:
    """Every row as an edit; ``read`` is handed the row and what gives its cells."""
    edits = []
    for number, row in enumerate(rows, start=2):
        edit = read(row, partial(cell, row, number=number, path=path))
        if edit.source.lower() == edit.destination.lower():
            raise EditError(f"Row {number} of “{path}” has “{edit.source}” become itself; leave it out.")
        edits.append(edit)
    return EditSet(kind, tuple(edits))


def _same(prompt: str, other: str) -> Case:
    """An unrelated prompt, whose pictures ought to stay nearer to it than to what the edit would make of it."""
    return Case(prompt, prompt, other, (prompt,))


def _timed(rows: Sequence[Row], path: Path) -> EditSet:
    positives, negatives = (numbered(list(rows[0]), name) for name in ("positive", "negative"))

    def read(row: Row, told: Callable[[str], str]) -> PaperEdit:
        source, destination = told("old"), told("new")
        related = [(told(f"positive{n}"), told(f"gt{n}")) for n in positives]
        cases = {
            EFFICACY: (Case(source, destination, source, (destination,)),),
            GENERALITY: tuple(Case(prompt, truth, prompt, (truth,)) for prompt, truth in related),
            SPECIFICITY: tuple(_same(told(f"negative{n}"), told(f"gn{n}")) for n in negatives),
        }
        return PaperEdit(source, destination, cases)

    return _edits("TIMED", read, rows, path)


def _road(rows: Sequence[Row], path: Path) -> EditSet:
    positives, negatives = (numbered(list(rows[0]), name) for name in ("positive", "negative"))

    def read(row: Row, told: Callable[[str], str]) -> PaperEdit:
        old, new = told("old"), told("new")
        source, destination = told("prompt"), told("oracle")
        related = [(told(f"positive{n}"), told(f"positive_old{n}"), told(f"positive_new{n}")) for n in positives]
        cases = {
            EFFICACY: (Case(source, new, old, (destination,)),),
            GENERALITY: tuple(Case(prompt, after, before, (after,)) for prompt, before, after in related),
            SPECIFICITY: tuple(_same(told(f"negative{n}"), told(f"negative_new{n}")) for n in negatives),
        }
        return PaperEdit(source, destination, cases)

    return _edits("RoAD", read, rows, path)


def _gender(rows: Sequence[Row], path: Path) -> EditSet:
    examples = numbered(list(rows[0]), "ex")

    def read(row: Row, told: Callable[[str], str]) -> PaperEdit:
        source = told("old") if "old" in row else f"{row.get('article', '').strip()} {told('profession')}".strip()
        female, male = (told(name) if name in row else _of_gender(source, name) for name in ("female", "male"))
        destination = told("new") if "new" in row else female
        cases = {
            measure: tuple(
                Case(prompt, female, male, tuple(in_place(prompt, source, text) or text for text in (female, male)))
                for prompt in prompts
            )
            for measure, prompts in (
                (BIAS, [told(f"ex{n}") for n in examples]),
                (VALIDATION_BIAS, [told("validation")]),
            )
        }
        return PaperEdit(source, destination, cases, (female, male))

    return _edits("TIMED's gender set", read, rows, path)


def _of_gender(source: str, gender: str) -> str:
    """A source such as "an attendant" as "a female attendant"."""
    return re.sub(r"^(an?\s+)?", f"a {gender} ", source, count=1, flags=re.IGNORECASE)


def _own(rows: Sequence[Row], path: Path) -> EditSet:
    related, unrelated = (numbered(list(rows[0]), name) for name in ("related", "unrelated"))

    def read(row: Row, told: Callable[[str], str]) -> PaperEdit:
        source, destination = told("source"), told("destination")

        def case(n: str) -> Case:
            prompt = told(f"related{n}")
            truth = row.get(f"oracle{n}", "").strip() or in_place(prompt, source, destination)
            if not truth:
                raise EditError(
                    f"“{prompt}” in “{path}” does not contain its source, “{source}”; say in a column oracle{n} what it would "
                    "have to be without an edit."
                )
            return Case(prompt, truth, prompt, (truth,))

        def filled(name: str, numbers: Sequence[str]) -> list[str]:
            return [n for n in numbers if row.get(f"{name}{n}", "").strip()]

        cases = {
            EFFICACY: (Case(source, destination, source, (destination,)),),
            GENERALITY: tuple(map(case, filled("related", related))),
            SPECIFICITY: tuple(
                _same(told(f"unrelated{n}"), row.get(f"other{n}", "").strip() or destination)
                for n in filled("unrelated", unrelated)
            ),
        }
        return PaperEdit(source, destination, cases)

    return _edits("a file of one's own", read, rows, path)
