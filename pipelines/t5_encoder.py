"""The text of pipelines whose model reads T5's tokens, alone or behind CLIP's: PixArt, SD3, Flux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..editing.encoding import Chunk, EncodedPrompt
from ..editing.errors import EditError
from .pipeline_encoder import parts
from .supported import execution_device

_AT_ONCE = 16


@dataclass(frozen=True)
class _Streams:
    """What a pipeline's text is made of.

    Args:
        tokenizers: the pipeline's, in the order in which their rows follow each other; T5's is the last.
        pooled: at which place ``encode_prompt`` gives the pooled embedding; 0 where it gives none.
    """

    tokenizers: tuple[str, ...]
    pooled: int = 0


STREAMS: Mapping[str, _Streams] = {
    "PixArt": _Streams(("tokenizer",)),
    "SD3": _Streams(("tokenizer", "tokenizer_3"), 2),
    "Flux": _Streams(("tokenizer_2",), 1),
}


class T5Encoder:
    """``encode`` for the editing library: what the pipeline's own ``encode_prompt`` gives, to the bit.

    Args:
        pipe: a pipeline of one of these families.
        family: its name.

    Raises:
        EditError: a text encoder was left out.
    """

    def __init__(self, pipe: Any, family: str) -> None:
        self.pipe, self.streams = pipe, STREAMS[family]
        missing = [name for name, part in pipe.components.items() if name.startswith("text_encoder") and part is None]
        if [name for name in missing if name != "text_encoder_3"]:
            raise EditError(f"The {type(pipe).__name__} has no {missing[0]}; load it with all of its text encoders.")

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts, in batches; embeddings and pooled embedding are on the CPU, in float32."""
        answers = []
        for batch in parts(prompts, _AT_ONCE):
            rows, pooled = self._encode(list(batch))
            vectors = pooled if pooled is not None else [None] * len(batch)
            answers += [self._prompt(*entry) for entry in zip(batch, rows, vectors, strict=True)]
        return answers

    @torch.no_grad()
    def _encode(self, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor | None]:
        more: dict[str, Any] = {} if len(self.streams.tokenizers) == 1 else {"prompt_2": None, "prompt_3": None}
        if self.streams.pooled != 1:  # Flux has no second half of guidance to encode
            more["do_classifier_free_guidance"] = False
        answer = self.pipe.encode_prompt(prompt=prompts, device=execution_device(self.pipe), num_images_per_prompt=1, **more)
        pooled = answer[self.streams.pooled].to("cpu", torch.float32) if self.streams.pooled else None
        return answer[0].to("cpu", torch.float32), pooled

    def _prompt(self, prompt: str, rows: torch.Tensor, pooled: torch.Tensor | None) -> EncodedPrompt:
        pieces: list[str] = []
        chunks: list[Chunk] = []
        for stream, name in enumerate(self.streams.tokenizers):
            tokenizer = getattr(self.pipe, name)
            start, last = len(pieces), name == self.streams.tokenizers[-1]
            length = len(rows) - start if last else tokenizer.model_max_length
            if tokenizer is None:  # SD3 without T5: its place is kept, with zeros
                pieces += [""] * length
                chunks.append(Chunk(start, range(start, start), len(pieces), stream))
                continue
            ids = tokenizer(prompt, padding="max_length", max_length=length, truncation=True)["input_ids"]
            opening = int(ids[0] == tokenizer.bos_token_id and tokenizer.bos_token_id != tokenizer.eos_token_id)
            end = ids.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in ids else length
            pieces += tokenizer.convert_ids_to_tokens(ids)
            chunks.append(Chunk(start, range(start + opening, start + max(opening, end)), len(pieces), stream))
        return EncodedPrompt(tuple(pieces), tuple(chunks), rows, pooled)
