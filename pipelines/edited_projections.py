"""An edit of the key and value projections on a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..editing.assumptions.context_map import ContextMap
from ..editing.concepts.hooks import without_autocast
from ..editing.errors import EditError
from .compiled import called_with
from .supported import execution_device, text_unet

_TEXT = "encoder_hidden_states"
_PLACE = 2
"""Which of the UNet's arguments the text is."""


@contextmanager
def edited_projections(pipe: Any, context_map: ContextMap) -> Iterator[None]:
    """While it is open, every cross-attention key and value projection W of the UNet acts as W M; opened in turn, as W M1 M2.

    They all read the text that the UNet is handed, c, and nothing else does; so M c is handed to it, by a hook. This holds
    for fused projections, compiled and offloaded UNets, LoRA, and attention processors of any sort alike.

    Args:
        pipe: an SD 1.x, SD 2.x or SDXL pipeline.
        context_map: M.

    Raises:
        EditError: the UNet reads no text of that width, reads it in another way, or cannot be hooked.
    """
    unet = text_unet(pipe)
    width = unet.config.cross_attention_dim
    if {*(width if isinstance(width, list | tuple) else [width])} != {context_map.width}:
        raise EditError(
            f"This pipeline reads text of another width ({width}) than the edit ({context_map.width}); make the edit with it."
        )
    hook = _MappedText(context_map.to(execution_device(pipe)))
    with called_with(unet, hook):
        hook.check(pipe.unet)
        yield


class _MappedText:
    """A forward pre-hook of the UNet: c, (n, tokens, width), becomes M c, computed in float32."""

    def __init__(self, context_map: ContextMap) -> None:
        self.context_map = context_map
        self.trying = False

    def __call__(self, unet: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        if self.trying:
            raise _Called
        text = kwargs[_TEXT] if _TEXT in kwargs else args[_PLACE]
        with without_autocast(text.device):
            mapped = self.context_map.apply(text)
        if _TEXT in kwargs:
            return args, {**kwargs, _TEXT: mapped}
        return (*args[:_PLACE], mapped, *args[_PLACE + 1 :]), kwargs

    def check(self, unet: torch.nn.Module) -> None:
        """Call the UNet as the pipeline does, up to this hook. Raises :class:`EditError` where it is not called."""
        self.trying = True
        try:
            unet(None, None, None)
        except _Called:
            return
        except Exception:  # whatever a UNet says that was called with nothing
            pass
        finally:
            self.trying = False
        raise EditError("The edit does not reach this pipeline's UNet; load the UNet anew, without what was put in its place.")


class _Called(Exception):
    """The hook was."""
