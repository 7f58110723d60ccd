"""A1111: it has no patching API, so the projections' inputs are mapped: W M x is W applied to M x."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from modules import sd_hijack, sd_hijack_clip, sd_hijack_open_clip, sd_models, shared

from ..editing.assumptions.context_map import ContextMap
from ..editing.errors import EditError
from .input_maps import mapped_inputs


class A1111:
    """See :class:`~.running_host.Host`."""

    def loaded_model(self) -> Any:
        """A hires pass or a refiner leaves its own checkpoint loaded until the next generation, or until this."""
        return sd_models.reload_model_weights(shared.sd_model)

    def text_engine(self, model: Any) -> Any:
        """The wrapped CLIP; of SDXL's two, which cut prompts alike, the first."""
        conditioner = getattr(model, "conditioner", None)
        engine = conditioner.embedders[0] if conditioner is not None else getattr(model, "cond_stage_model", None)
        if not hasattr(engine, "process_texts"):
            raise EditError("This model's text encoder is not known here; load an SD 1.x, SD 2.x or SDXL checkpoint.")
        return engine

    def row_encoder(self, model: Any, advance: Callable[[int, int], None]) -> None:
        """All of its models have CLIP."""
        return

    def text_layers(self, model: Any) -> dict[str, Sequence[torch.nn.Module]]:
        """By the wrapper that A1111 puts around each."""
        conditioner = getattr(model, "conditioner", None)
        layers: dict[str, Sequence[torch.nn.Module]] = {}
        for engine in [getattr(model, "cond_stage_model", None)] if conditioner is None else conditioner.embedders:
            if isinstance(engine, sd_hijack_clip.FrozenCLIPEmbedderWithCustomWords):
                layers["clip_l"] = engine.wrapped.transformer.text_model.encoder.layers
            elif isinstance(engine, sd_hijack_open_clip.FrozenOpenCLIPEmbedder2WithCustomWords):
                layers["clip_g"] = engine.wrapped.model.transformer.resblocks
            elif isinstance(engine, sd_hijack_open_clip.FrozenOpenCLIPEmbedderWithCustomWords):
                layers["clip_h"] = engine.wrapped.model.transformer.resblocks
        return layers

    def pieces(self, engine: Any, ids: list[int]) -> list[str]:
        """SD 2.x brings OpenCLIP's tokenizer, which has no tokenizer of transformers'."""
        if hasattr(engine, "tokenizer"):
            return list(engine.tokenizer.convert_ids_to_tokens(ids))
        return [sd_hijack_open_clip.tokenizer.decoder.get(token, str(token)) for token in ids]

    def vocabulary(self, engine: Any) -> dict[str, int]:
        """By either tokenizer."""
        return engine.tokenizer.get_vocab() if hasattr(engine, "tokenizer") else dict(sd_hijack_open_clip.tokenizer.encoder)

    @contextmanager
    def quiet(self, model: Any) -> Iterator[None]:
        """Embeddings and emphasis of a recipe's prompts are not the picture's."""
        hijack = sd_hijack.model_hijack
        known, comments = dict(hijack.extra_generation_params), list(hijack.comments)
        try:
            yield
        finally:
            hijack.extra_generation_params, hijack.comments = known, comments

    def shapes(self, model: Any) -> dict[str, tuple[int, ...]]:
        """Of the parameters, not of what other extensions hang beside them."""
        return {name: tuple(weight.shape) for name, weight in _unet(model).named_parameters()}

    def weight(self, model: Any, key: str) -> torch.Tensor:
        """The built-in Lora keeps the original beside a weight that it has merged into."""
        module = _unet(model).get_submodule(key.removesuffix(".weight"))
        kept = getattr(module, "network_weights_backup", None)
        return (module.weight if kept is None else kept).detach()

    def edited(self, model: Any, maps: dict[str, list[ContextMap]]) -> AbstractContextManager[None]:
        """By the projections' inputs."""
        return mapped_inputs(_unet(model), maps)


def _unet(model: Any) -> torch.nn.Module:
    return model.model.diffusion_model
