"""ICEB's own files (Xiong et al. 2024) as cases: the arbitrary updates of AICE, and the rectification of aliases.

Its CSV files have the columns source, dest, prompts, seeds, source id, dest id (numbers of ImageNet's classes), and for editing
also seed_train. Where a row's two classes are the same, the source is a name that the model does not know for what the
destination names: an alias to be rectified. Prompts and seeds are lists as Python writes them, with ``{}`` for the name.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..editing.concepts.concept_lines import Concept
from ..editing.errors import EditError
from ..editing.text_file import read_text
from .joint import Held, MeasuredConcept, Shot, shots
from .papers.rows import read_rows

_COLUMNS = ("source", "dest", "prompts", "seeds", "source id", "dest id")
_HELD_COLUMNS = ("text prompt", "class name", "random seed")
_EACH = 3
"""Pictures of a class that is held out, as in the published protocol."""


@dataclass(frozen=True)
class Request:
    """A row.

    Args:
        concept: source and destination.
        prompts: with ``{}`` for the source.
        seeds: one for each prompt.
        source, destination: their classes' numbers.
    """

    concept: Concept
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    source: int
    destination: int

    @property
    def rectifies(self) -> bool:
        """Whether the source is another name of the destination."""
        return self.source == self.destination


def read_requests(path: Path) -> list[Request]:
    """One of ICEB's CSV files, in its order.

    Raises:
        EditError: it cannot be read, or lacks a column, or a line is not understood.
    """
    rows = _rows(path, _COLUMNS)
    requests: dict[str, Request] = {}
    for number, row in enumerate(rows, start=2):
        try:
            request = _request(row)
        except (ValueError, SyntaxError, TypeError) as error:
            raise EditError(f"Row {number} of “{path}” is not understood ({error}); use the file as ICEB has it.") from error
        if requests.setdefault(request.concept.source.lower(), request) is not request:
            raise EditError(f"Row {number} of “{path}” has a source that an earlier row has; leave one of them out.")
    return list(requests.values())


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    rows = read_rows(path, "ICEB's rows")
    if missing := [name for name in columns if name not in rows[0]]:
        raise EditError(f"“{path}” is no such file of ICEB's: it has no column “{missing[0]}”.")
    return rows


def _request(row: Mapping[str, str]) -> Request:
    prompts, seeds = (list(ast.literal_eval(row[name])) for name in ("prompts", "seeds"))
    # Some prompts name the source itself, as the first word of the sentence.
    written = re.compile(re.escape(row["source"]), re.IGNORECASE)
    prompts = [prompt if "{}" in prompt else written.sub("{}", prompt) for prompt in prompts]
    if not prompts or any("{}" not in prompt for prompt in prompts):
        raise ValueError("a prompt has no {} for the name")
    first = int(row.get("seed_train") or 0)
    # Some rows come without seeds.
    numbers = [int(seed) for seed in seeds] + [first + place for place in range(len(seeds), len(prompts))]
    return Request(
        Concept(row["source"], row["dest"]),
        tuple(prompts),
        tuple(numbers[: len(prompts)]),
        int(row["source id"]),
        int(row["dest id"]),
    )


def cases_of(
    requests: Sequence[Request], validation: Sequence[Request] = (), labels: Mapping[int, Sequence[str]] | None = None
) -> list[MeasuredConcept]:
    """Cases for a judge that knows classes by their number.

    Args:
        requests: what is edited, with the sentences of the edit.
        validation: the same sources in other sentences; those of others are left out.
        labels: class to all its names, for pictures of the source by its other names.
    """
    others = {request.concept.source.lower(): request for request in validation}
    cases = []
    for request in requests:
        source = request.concept.source
        other = others.get(source.lower())
        edited = shots(source, request.prompts, request.seeds)
        elsewhere = shots(source, other.prompts, other.seeds) if other else ()
        if request.rectifies:  # an alias: that its own class is shown is what is wanted, not what is to be forgotten
            case = MeasuredConcept(
                request.concept, (), (), (*edited, *elsewhere), str(request.source), str(request.destination)
            )
        else:
            beside = other or request
            names = [name for name in (labels or {}).get(request.source, ()) if name.lower() != source.lower()]
            aliases = tuple(shot for name in names for shot in shots(name, beside.prompts, beside.seeds))
            case = MeasuredConcept(request.concept, edited, elsewhere, aliases, str(request.source), str(request.destination))
        cases.append(case)
    return cases


def shared_sentences(requests: Sequence[Request]) -> tuple[str, ...]:
    """The sentences of all requests, if they are the same; else none."""
    distinct = {request.prompts for request in requests}
    return distinct.pop() if len(distinct) == 1 else ()


def held_destinations(requests: Sequence[Request]) -> list[Held]:
    """Destinations that are no sources, in the sentences of the requests: what is held out where no file says what."""
    sources = {request.concept.source.lower() for request in requests}
    by_name: dict[str, list[Held]] = {}
    for request in requests:
        name = request.concept.destination
        if name and name.lower() not in sources:
            own = [Held(shot, str(request.destination)) for shot in shots(name, request.prompts, request.seeds)]
            by_name.setdefault(name.lower(), own)
    return [held for own in by_name.values() for held in own]


def read_held(path: Path, requests: Sequence[Request], labels: Mapping[int, Sequence[str]]) -> list[Held]:
    """What is held out, from ICEB's JSON file of test prompts or a CSV file of prompts, three prompts of each class.

    Args:
        path: a list of objects with class name, text prompt, random seed and perhaps class id; or the same as CSV.
        requests: what is edited; its sources' classes are left out.
        labels: class to its names, for files without class ids.

    Raises:
        EditError: it cannot be read, or names a class that the judge does not know.
    """
    rows = _entries(path) if path.suffix.lower() == ".json" else _rows(path, _HELD_COLUMNS)
    numbers = {_letters(name): number for number, names in reversed(list(labels.items())) for name in names}
    edited = {request.source for request in requests}
    by_class: dict[int, list[Held]] = {}
    for row in rows:
        name = str(row["class name"])
        number = row.get("class id", numbers.get(_letters(name)))
        if number is None:
            raise EditError(
                f"“{path}” names the class “{name}”, which the classifier does not know; use a file with class ids."
            )
        number = _number(number, path)
        own = by_class.setdefault(number, [])
        if number not in edited and len(own) < _EACH:
            own.append(Held(Shot(row["text prompt"], _number(row["random seed"], path)), str(number)))
    held = [entry for own in by_class.values() for entry in own]
    if not held:
        raise EditError(f"“{path}” holds nothing out that is not edited; give ICEB's file of test prompts.")
    return held


def _letters(name: str) -> str:
    """A name without its case, spaces and marks, in which files differ."""
    return "".join(character for character in name.lower() if character.isalnum())


def _entries(path: Path) -> list[dict[str, object]]:
    text = read_text(path, "ICEB's test prompts")
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise EditError(f"“{path}” cannot be read ({error}); give ICEB's file of test prompts.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and set(_HELD_COLUMNS) <= set(row) for row in rows):
        raise EditError(f"“{path}” is no list of {', '.join(_HELD_COLUMNS)}; give ICEB's file of test prompts.")
    return rows


def _number(text: object, path: Path) -> int:
    try:
        return int(text)
    except (TypeError, ValueError):
        raise EditError(f"“{path}” has “{text}” where a number belongs; use the file as ICEB has it.") from None
