"""Text encoders of random weights, for the time that an encoding takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .model_sizes import WINDOW, TextEncoder

_WORDS = 1000


def encoding(encoder: TextEncoder, prompts: int, device: str) -> Callable[[], Any]:
    """What encodes so many prompts in one batch, through the layers that are run."""
    with torch.device(device):
        model = _clip(encoder) if encoder.kind == "CLIP" else _t5(encoder)
        tokens = torch.randint(_WORDS, (prompts, WINDOW))

    def encode() -> Any:
        with torch.no_grad():
            return model(tokens).last_hidden_state

    return encode


def _clip(encoder: TextEncoder) -> torch.nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=_WORDS,
        hidden_size=encoder.width,
        intermediate_size=encoder.mlp,
        num_hidden_layers=encoder.run,
        num_attention_heads=encoder.heads,
        max_position_embeddings=WINDOW,
        bos_token_id=_WORDS - 2,
        eos_token_id=_WORDS - 1,
    )
    return CLIPTextModel(config).eval()


def _t5(encoder: TextEncoder) -> torch.nn.Module:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=_WORDS,
        d_model=encoder.width,
        d_ff=encoder.mlp,
        d_kv=encoder.width // encoder.heads,
        num_heads=encoder.heads,
        num_layers=encoder.run,
        feed_forward_proj="gated-gelu",
    )
    return T5EncoderModel(config).eval()
