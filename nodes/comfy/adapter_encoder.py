"""A CLIP whose rows layers of the MODEL read first, beside numbers of another tokenizer: Anima's adapter.

What its keys and values read are the adapter's rows, one for each of T5's tokens. An edit is solved on these.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import comfy.model_management
import torch

from ...editing.encoding import Chunk, EncodedPrompt
from .clip_encoder import ComfyEncoder, Tokens, piece_of, tokenizer_of, with_words
from .progress import stop_if_interrupted

_ADAPTER, _STREAM = "llm_adapter", "t5xxl"


class AdapterEncoder(ComfyEncoder):
    """``encode`` for the library, over a ComfyUI CLIP and the MODEL that its prompts are for.

    Args:
        model: a ``ModelPatcher``, which is loaded when a prompt is encoded.
        clip: its ``comfy.sd.CLIP``.
    """

    def __init__(self, model: Any, clip: Any) -> None:
        super().__init__(clip)
        self.model = model

    @property
    def key(self) -> Hashable:
        """As for other encoders, and what is patched onto the adapter."""
        patches = ((key, *map(id, each)) for key, each in self.model.patches.items() if f".{_ADAPTER}." in key)
        return super().key, id(self.model.model), tuple(sorted(patches))

    @property
    def _streams(self) -> tuple[str, ...]:
        return (_STREAM,)

    @property
    def _alone(self) -> bool:
        return True

    def _tokenize(self, prompt: str) -> Tokens:
        return with_words(self.clip.tokenize(prompt, return_word_ids=True))

    def _encode_whole(self, tokens: Tokens) -> EncodedPrompt:
        stop_if_interrupted()
        plain = {name: [[entry[:2] for entry in chunk] for chunk in chunks] for name, chunks in tokens.items()}
        handed = self.clip.encode_from_tokens(plain, return_dict=True)
        comfy.model_management.load_models_gpu([self.model])
        model, device = self.model.model, self.model.load_device
        rows, weights = (handed[name].to(device, model.get_dtype_inference()) for name in ("cond", "t5xxl_weights"))
        with torch.inference_mode():
            out = model.diffusion_model.preprocess_text_embeds(
                rows, handed["t5xxl_ids"][None].to(device), t5xxl_weights=weights[None, :, None]
            )
        return self._padded(tokens, out[0].to("cpu", torch.float32).clone())

    def _padded(self, tokens: Tokens, rows: torch.Tensor) -> EncodedPrompt:
        (chunk, *_), vocabulary = tokens[_STREAM], getattr(tokenizer_of(self.clip, _STREAM), "inv_vocab", {})
        own = [place for place, (_, _, word) in enumerate(chunk) if word > 0]
        words = range(own[0], own[-1] + 1) if own else range(0)
        pieces = [piece_of(token, vocabulary) for token, _, _ in chunk] + ["<pad>"] * (len(rows) - len(chunk))
        return EncodedPrompt(tuple(pieces), (Chunk(0, words, len(pieces)),), rows)


def encoder_for(model: Any, clip: Any) -> ComfyEncoder:
    """The encoder of what a model's weights read; that of the CLIP alone where there is no model, or it reads rows as they are.

    Raises:
        EditError: there is no CLIP.
    """
    if model is not None and hasattr(model.model.diffusion_model, _ADAPTER):
        return AdapterEncoder(model, clip)
    return ComfyEncoder(clip)
