"""reForge: A1111's text engines over models of ComfyUI's kind, whose weights its patcher merges LoRA into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..editing.concepts.text_encoder import NAMES
from .a1111 import A1111


class ReForge(A1111):
    """See :class:`~.running_host.Host`."""

    def text_layers(self, model: Any) -> dict[str, Sequence[torch.nn.Module]]:
        """Its names are ours."""
        encoders = model.forge_objects.clip.cond_stage_model.named_children()
        return {name: encoder.transformer.text_model.encoder.layers if name in NAMES else () for name, encoder in encoders}

    def weight(self, model: Any, key: str) -> torch.Tensor:
        """The patcher keeps the original of a weight that it has merged into."""
        kept = model.forge_objects.unet.backup.get(f"diffusion_model.{key}")
        return super().weight(model, key) if kept is None else kept.weight.detach()
