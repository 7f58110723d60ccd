"""A MODEL whose checkpoint cannot be saved, since weights do not hold all that it does."""

from __future__ import annotations

from typing import Any, NoReturn

from comfy.patcher_extension import CallbacksMP

from ...editing.errors import EditError

_KEY = "edit_assumption"
_REFUSED = (
    "This MODEL carries an edit {}, which no checkpoint can hold; save its EDIT with Save Edit, or connect the MODEL from "
    "before that edit."
)
BY_CHANCE = _REFUSED.format("that every picture draws by chance")
BY_TEXT = _REFUSED.format("that is put on the text")


def refuse_checkpoint(patched: Any, why: str) -> None:
    """Have a ``ModelPatcher``, and all clones of it, refuse to be written to a checkpoint.

    Args:
        patched: what carries the edit.
        why: the sentence that is said then.
    """

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise EditError(why)

    def on_clone(_: Any, clone: Any) -> None:
        clone.state_dict_for_saving = refuse

    def on_load(_: Any, device: Any, memory: Any, force_patch_weights: bool = False, *__: Any) -> None:
        """Versions without ``state_dict_for_saving`` load a model like this for nothing but saving it."""
        if force_patch_weights:
            refuse()

    patched.state_dict_for_saving = refuse
    for call, function in ((CallbacksMP.ON_CLONE, on_clone), (CallbacksMP.ON_LOAD, on_load)):
        patched.remove_callbacks_with_key(call, _KEY)
        patched.add_callback_with_key(call, _KEY, function)


def allow_checkpoint(patched: Any) -> None:
    """Take that back, where the edit was taken off again."""
    vars(patched).pop("state_dict_for_saving", None)
    for call in (CallbacksMP.ON_CLONE, CallbacksMP.ON_LOAD):
        patched.remove_callbacks_with_key(call, _KEY)
