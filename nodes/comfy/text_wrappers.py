"""What carries edits that no weight holds: wrappers on a ``ModelPatcher``, in the order of the edits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_KEY = "edit_assumption"


def put_first(model: Any, wrappers: Mapping[str, Callable[..., Any]], instead_of: Any = None) -> None:
    """Put bound methods on a ``ModelPatcher`` before those of all other edits, or in the place of one edit's.

    The first wrapper maps the text first, as the last of several weight edits does.

    Args:
        model: a clone, which is changed.
        wrappers: kind (:class:`WrappersMP`) to method.
        instead_of: the object whose methods they take the place of; None where they come in addition.
    """
    for kind in {*wrappers, *(kind for kind, keyed in model.wrappers.items() if _KEY in keyed)}:
        others, own = list(model.get_wrappers(kind, _KEY)), [wrappers[kind]] if kind in wrappers else []
        model.remove_wrappers_with_key(kind, _KEY)
        places = [place for place, wrapper in enumerate(others) if instead_of is not None and wrapper.__self__ is instead_of]
        place = places[0] if places else 0
        for wrapper in (*others[:place], *own, *others[place + len(places) :]):
            model.add_wrapper_with_key(kind, _KEY, wrapper)
