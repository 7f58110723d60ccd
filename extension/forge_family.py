"""What Forge and its successors share: engines and patchers in ``backend``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from modules import sd_models, shared

from ..editing.concepts.text_encoder import NAMES
from ..editing.errors import EditError, PackedWeightsError
from .row_encoder import RowEncoder

_PREFIX = "diffusion_model."
_ENGINES = "text_processing_engine"
"""What the names of a model's text engines begin with."""
_PACKED = "This model's weights are packed and cannot be read; load it unquantised or in fp8."


class ForgeFamily:
    """The parts of :class:`~.running_host.Host` that are the same in all of them."""

    def loaded_model(self) -> Any:
        """A checkpoint is loaded at the first generation after it was chosen, or here."""
        sd_models.forge_model_reload()
        return shared.sd_model

    def text_engine(self, model: Any) -> Any:
        """Of SDXL's two, which cut prompts alike, the first."""
        names = (_ENGINES, f"{_ENGINES}_l")
        engines = [getattr(model, name) for name in names if hasattr(model, name)]
        if not engines or not hasattr(engines[0], "process_texts") or hasattr(model, f"{_ENGINES}_t5"):
            raise EditError("This model's text encoder is not known here; load an SD 1.x, SD 2.x or SDXL checkpoint.")
        return engines[0]

    def row_encoder(self, model: Any, advance: Callable[[int, int], None]) -> RowEncoder | None:
        """Language models and T5; CLIP has engines that cut prompts into windows. SD3 reads the rows of all of its encoders."""
        engines = [engine for name, engine in vars(model).items() if name.startswith(_ENGINES)]
        clips = [engine for engine in engines if hasattr(engine, "process_texts")]
        others = [engine for engine in engines if engine not in clips]
        if not others:
            return None
        if len(others) > 1 or len(clips) > 1 or not hasattr(others[0], "tokenize_line"):
            raise EditError(
                "This model joins the rows of several text encoders; load a model with one text encoder, or an SD 1.x, SD 2.x "
                "or SDXL checkpoint."
            )
        return RowEncoder(model, others[0], advance)

    def text_layers(self, model: Any) -> dict[str, Sequence[torch.nn.Module]]:
        """Forge's names are ours."""
        encoders = model.forge_objects.clip.cond_stage_model.named_children()
        return {name: encoder.transformer.text_model.encoder.layers if name in NAMES else () for name, encoder in encoders}

    def pieces(self, engine: Any, ids: list[int]) -> list[str]:
        """By transformers' tokenizer."""
        return list(engine.tokenizer.convert_ids_to_tokens(ids))

    def vocabulary(self, engine: Any) -> dict[str, int]:
        """By transformers' tokenizer."""
        return engine.tokenizer.get_vocab()

    def shapes(self, model: Any) -> dict[str, tuple[int, ...]]:
        """GGUF's and bitsandbytes' weights tell the shape of what they stand for."""
        named = model.forge_objects.unet.model.diffusion_model.named_parameters()
        return {_PREFIX + name: tuple(getattr(weight, "real_shape", weight.shape)) for name, weight in named}


def readable(weight: torch.Tensor) -> torch.Tensor:
    """A weight as numbers. Raises :class:`PackedWeightsError` for one that GGUF, bitsandbytes or the like has packed."""
    packed = hasattr(weight, "gguf_cls") or hasattr(weight, "bnb_quantized")
    if packed or not weight.is_floating_point() or type(weight) not in (torch.Tensor, torch.nn.Parameter):
        raise PackedWeightsError(_PACKED)
    return weight.detach()
