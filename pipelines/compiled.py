"""Modules that torch.compile has been at: what they were compiled from, and how to run that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_COMPILED_FROM, _COMPILED_CALL = "_torchdynamo_orig_callable", "_compiled_call_impl"
"""What torch.compile leaves on a function, and on a module that is compiled in place."""


def original(module: Any) -> Any:
    """The module itself where it stands in a wrapper of torch.compile's or PEFT's."""
    while inner := getattr(module, "_modules", {}).get("_orig_mod"):
        module = inner
    return module.get_base_model() if hasattr(module, "get_base_model") else module


Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Change = Callable[[Any, tuple[Any, ...], dict[str, Any]], Arguments]


@contextmanager
def called_with(module: Any, change: Change) -> Iterator[None]:
    """While it is open, a module's arguments are changed first, ahead of other hooks and outside of what is compiled of it.

    Args:
        module: as :func:`original` gives it.
        change: module, arguments and keyword arguments to those that take their places.
    """
    compiled = vars(module).get(_COMPILED_CALL)
    if compiled is None:
        handle = module.register_forward_pre_hook(change, prepend=True, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
        return

    def changed(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = change(module, args, kwargs)
        return compiled(*args, **kwargs)

    try:
        setattr(module, _COMPILED_CALL, changed)
        yield
    finally:
        setattr(module, _COMPILED_CALL, compiled)


@contextmanager
def uncompiled(module: Any) -> Iterator[None]:
    """While it is open, whatever is compiled of a module runs as it was written: compiled code does not look for new hooks.

    Afterwards it is called as before, without being compiled anew.
    """
    forwards, calls = [], []
    for part in module.modules():
        forward = vars(part).get("forward")
        if hasattr(forward, _COMPILED_FROM):
            forwards.append((part, forward))
        if vars(part).get(_COMPILED_CALL) is not None:
            calls.append((part, vars(part)[_COMPILED_CALL]))
    try:
        for part, forward in forwards:
            part.forward = getattr(forward, _COMPILED_FROM)
        for part, _ in calls:
            setattr(part, _COMPILED_CALL, None)
        yield
    finally:
        for part, forward in forwards:
            part.forward = forward
        for part, call in calls:
            setattr(part, _COMPILED_CALL, call)
