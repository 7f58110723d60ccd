"""Edits that are solved together: which, and what their prompts then ought to show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from ..editing.errors import EditError
from .suite import Question, SuiteEdit
from .suite_methods import Pair

Edited = TypeVar("Edited", bound=Pair)


def groups(edits: Sequence[Edited], together: int, pool: Sequence[Edited]) -> Iterator[tuple[list[Edited], list[Edited]]]:
    """Groups of ``together`` edits with a source each of their own.

    Args:
        edits: each is measured in one group.
        together: the size of a group.
        pool: what fills a group up once no more of ``edits`` fit into it.

    Yields:
        The group, and those of its edits that are measured in it.

    Raises:
        EditError: there are not so many sources.
    """
    sources = len({edit.source for edit in (*edits, *pool)})
    if not 0 < together <= sources:
        raise EditError(f"There are {sources} sources, so {together} edits cannot be solved together; ask for fewer.")
    waiting = list(edits)
    while waiting:
        measured: dict[str, Edited] = {}
        for edit in waiting:
            if len(measured) < together:
                measured.setdefault(edit.source, edit)
        group = dict(measured)
        for edit in (*edits, *pool):
            if len(group) < together:
                group.setdefault(edit.source, edit)
        waiting = [edit for edit in waiting if measured.get(edit.source) is not edit]
        yield list(group.values()), list(measured.values())


def cases_of(edit: SuiteEdit, group: Sequence[SuiteEdit]) -> dict[str, tuple[Question, ...]]:
    """Measure to an edit's prompts in a group: where one is the source of an edit of the same kind, it ought to follow that."""
    followed = {(other.source, other.attribute): other.efficacy[0] for other in group}
    return {
        measure: tuple(followed.get((case.prompt, edit.attribute), case) for case in cases)
        for measure, cases in edit.measures.items()
    }
