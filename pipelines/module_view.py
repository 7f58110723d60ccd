"""A pipeline's own view of a model: the same layers and weights, with hooks of its own.

Two pipelines may share a UNet, and only one of them be edited. So an edit is hooked onto a view that takes the model's place in
its pipeline; the model itself, and whoever else holds it, knows nothing of it.
"""

from __future__ import annotations

import sys
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

import torch

_OWNER, _ORIGINAL, _USES = "_edit_assumption_pipeline", "_edit_assumption_original", "_edit_assumption_uses"
_HOOKS = (
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks", "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
)  # fmt: skip
_SAVES = ("save_pretrained", "save_lora_adapter")
_NOT_SAVED = (
    "The edit is not in what is saved: that is the model without it. Save the edit itself with edit.save(…), or as a LoRA with "
    "edit.save_lora(…); both can be put on what is saved here."
)
_calls = threading.local()


class own_view:
    """While it is open, ``pipe.NAME`` is a view of the model that stood there. One that was there already is used again.

    Afterwards the model is back in its place, unless something was attached to the view in the meantime, such as adapters.
    A view that is open when the program ends stays.

    Args:
        pipe: a diffusers pipeline.
        name: of the component.
    """

    def __init__(self, pipe: Any, name: str) -> None:
        self._pipe, self._name = pipe, name

    def __enter__(self) -> torch.nn.Module:
        view: torch.nn.Module = getattr(self._pipe, self._name)
        if _owner(view) is not self._pipe:
            view = _new_view(self._pipe, view)
            setattr(self._pipe, self._name, view)
        vars(view)[_USES] += 1
        self._view = view
        return view

    def __exit__(self, *error: object) -> None:
        view = self._view
        vars(view)[_USES] -= 1
        if sys.is_finalizing() or vars(view)[_USES]:
            return
        if getattr(self._pipe, self._name) is view and _untouched(view):
            setattr(self._pipe, self._name, vars(view)[_ORIGINAL])


def called_through(view: torch.nn.Module) -> bool:
    """Whether this thread is inside a call of this view; hooks of layers, which views share, ask this."""
    return any(entry is view for entry in getattr(_calls, "views", ()))


@contextmanager
def watched_calls(view: torch.nn.Module) -> Iterator[None]:
    """While it is open, calls of the view are known to :func:`called_through`."""
    before = view.register_forward_pre_hook(partial(_enter, view), prepend=True)
    after = view.register_forward_hook(_leave, always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()


def _enter(view: torch.nn.Module, module: torch.nn.Module, args: tuple[Any, ...]) -> None:
    _calls.views = (*getattr(_calls, "views", ()), view)


def _leave(module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
    _calls.views = getattr(_calls, "views", ())[:-1]


def _new_view(pipe: Any, module: torch.nn.Module) -> torch.nn.Module:
    view = object.__new__(type(module))
    vars(view).update(vars(module))
    for hooks in _HOOKS:
        vars(view)[hooks] = OrderedDict(vars(module)[hooks])
    vars(view).update({_OWNER: weakref.ref(pipe), _ORIGINAL: module, _USES: 0})
    for name in _SAVES:
        if hasattr(type(view), name):
            vars(view)[name] = _saying_so(view, name, lambda: bool(vars(view)[_USES]))
    if "save_pretrained" not in vars(pipe):
        vars(pipe)["save_pretrained"] = _saying_so(pipe, "save_pretrained", lambda: _edited(pipe))
    return view


def _edited(pipe: Any) -> bool:
    return any(vars(part).get(_USES) for part in pipe.components.values() if isinstance(part, torch.nn.Module))


def _saying_so(holder: Any, name: str, is_edited: Callable[[], bool]) -> Callable[..., Any]:
    """A pipeline's or a view's own method, which says once that what is saved is without the edit."""
    save = getattr(type(holder), name)

    @wraps(save)
    def saving(*args: Any, **kwargs: Any) -> Any:
        outermost = not getattr(_calls, "saving", False)
        if outermost and is_edited():
            warnings.warn(_NOT_SAVED, stacklevel=2)
        _calls.saving = True
        try:
            return save(holder, *args, **kwargs)
        finally:
            _calls.saving = not outermost

    return saving


def _owner(module: torch.nn.Module) -> Any:
    owner = vars(module).get(_OWNER)
    return owner() if owner else None


def _untouched(view: torch.nn.Module) -> bool:
    """Whether the view has nothing that the model lacks, and lacks nothing that it has."""
    ours = {_OWNER, _ORIGINAL, _USES, *_HOOKS, *_SAVES}
    original = vars(view)[_ORIGINAL]
    own, theirs = ({key: value for key, value in vars(entry).items() if key not in ours} for entry in (view, original))
    return own.keys() == theirs.keys() and all(value is theirs[key] for key, value in own.items())
