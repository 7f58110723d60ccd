"""A MODEL whose checkpoint cannot be saved, since weights do not hold all that it does."""

from __future__ import annotations

from typing import Any, NoReturn

from comfy.patcher_extension import CallbacksMP

from ...editing.errors import EditError

_KEY = "edit_assumption"
_WHY = (
    "This MODEL carries an edit that every picture draws by chance, which no checkpoint can hold; save its EDIT with Save "
    "Edit, or connect the MODEL from before that edit."
)


def refuse_checkpoint(patched: Any) -> None:
    """Have a ``ModelPatcher``, and all clones of it, refuse to be written to a checkpoint."""
    patched.state_dict_for_saving = _refuse
    patched.remove_callbacks_with_key(CallbacksMP.ON_CLONE, _KEY)
    patched.add_callback_with_key(CallbacksMP.ON_CLONE, _KEY, _on_clone)
    patched.remove_callbacks_with_key(CallbacksMP.ON_LOAD, _KEY)
    patched.add_callback_with_key(CallbacksMP.ON_LOAD, _KEY, _on_load)


def _on_clone(_: Any, clone: Any) -> None:
    clone.state_dict_for_saving = _refuse


def _on_load(_: Any, device: Any, memory: Any, force_patch_weights: bool = False, *__: Any) -> None:
    """Versions without ``state_dict_for_saving`` load a model like this for nothing but saving it."""
    if force_patch_weights:
        _refuse()


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise EditError(_WHY)
