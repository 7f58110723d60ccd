"""A diffusers pipeline's text encoder as the library asks for it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from diffusers import StableDiffusionPipeline

from ..editing.concepts.sentences import Tokens
from ..editing.concepts.subjects import normal
from ..editing.encoding import Chunk, EncodedPrompt
from ..editing.errors import EditError
from ..editing.wording import shortened
from .compiled import original
from .supported import check_text, execution_device

Item = TypeVar("Item")
_AT_ONCE = 32
_NAMED = 3


class PipelineEncoder:
    """``encode`` for the editing library: what the pipeline's own ``encode_prompt`` gives, to the bit.

    Args:
        pipe: an SD 1.x, SD 2.x or SDXL pipeline.
        second: tokenize as SDXL's second encoder does.

    Raises:
        EditError: the pipeline is of another family.
    """

    def __init__(self, pipe: Any, second: bool = False) -> None:
        check_text(pipe)
        self.pipe = pipe
        self.tokenizer = pipe.tokenizer_2 if second else pipe.tokenizer
        self.wrapped = pipe.text_encoder_2 if second else pipe.text_encoder
        self.text = original(self.wrapped)
        self.length = self.tokenizer.model_max_length

    def tokenize(self, prompts: Sequence[str]) -> list[Tokens]:
        """One window each; what is longer is cut, as diffusers does, with a warning."""
        written = self._written(prompts)
        end = self.tokenizer.eos_token_id
        tokens = []
        windows = self.tokenizer(written, padding="max_length", max_length=self.length, truncation=True)["input_ids"]
        for text, ids in zip(written, windows, strict=True):
            words = range(1, ids.index(end) if end in ids else self.length - 1)
            pieces = self.tokenizer.convert_ids_to_tokens(ids)
            cut = self._cut(text) if words.stop == self.length - 1 else ""
            tokens.append(Tokens(tuple(ids), tuple(pieces), words, self._spelling(pieces[words.start : words.stop]), cut))
        _warn(prompts, tokens)
        return tokens

    def _written(self, prompts: Sequence[str]) -> list[str]:
        """A textual inversion of several vectors written out, as the pipeline does it: one token for each vector."""
        convert = getattr(self.pipe, "maybe_convert_prompt", None)
        return convert(list(prompts), self.tokenizer) if convert else list(prompts)

    def _cut(self, text: str) -> str:
        whole = self.tokenizer(text, truncation=False, verbose=False)["input_ids"]
        return str(self.tokenizer.decode(whole[self.length - 1 : -1])).strip()

    def _spelling(self, pieces: Sequence[str]) -> tuple[str, ...]:
        """What each piece spells of the prompt: a textual inversion's first vector its name, the others nothing."""
        added, spelling = self.tokenizer.added_tokens_encoder, []
        for place, piece in enumerate(pieces):
            match = re.fullmatch(r"(.+)_(\d+)", piece) if piece in added else None
            before = match and (match[1] if match[2] == "1" else f"{match[1]}_{int(match[2]) - 1}")
            if match and match[1] in added and place and pieces[place - 1] == before:
                spelling.append("")
            else:
                spelling.append(normal(piece).replace(" ", "") if piece in added else piece)
        return tuple(spelling)

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts in batches; the embeddings are on the CPU, in float32.

        Raises:
            EditError: SDXL's two tokenizers cut a prompt in two ways.
        """
        tokens = self.tokenize(prompts)
        if getattr(self.pipe, "tokenizer_2", None) is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # said already
                other = PipelineEncoder(self.pipe, second=True).tokenize(prompts)
            for prompt, ours, theirs in zip(prompts, tokens, other, strict=True):
                if ours.words != theirs.words:
                    raise EditError(
                        f"The two text encoders cut “{prompt}” into different tokens; load its textual inversion into both."
                    )
        batches = [_encoded(self.pipe, list(part)) for part in parts(list(prompts), _AT_ONCE)]
        rows = [row for embeddings, _ in batches for row in embeddings]
        pooled = [vector for _, vectors in batches for vector in vectors]
        return [
            EncodedPrompt(entry.pieces, (Chunk(0, entry.words, self.length),), embeddings, vector, entry.cut)
            for entry, embeddings, vector in zip(tokens, rows, pooled, strict=True)
        ]


def encode_prompts(pipe: Any, prompts: list[str]) -> torch.Tensor:
    """What the pipeline itself makes of prompts: (n, tokens, width), float32 on the CPU."""
    return _encoded(pipe, prompts)[0]


@torch.no_grad()  # not inference mode, in which offloading would leave weights that know no gradient
def _encoded(pipe: Any, prompts: list[str]) -> tuple[torch.Tensor, Sequence[torch.Tensor | None]]:
    """The same, and a pooled embedding for each prompt, which SDXL has."""
    encode = getattr(pipe, "encode_prompt", None) or partial(StableDiffusionPipeline.encode_prompt, pipe)
    answer = encode(prompt=prompts, device=execution_device(pipe), num_images_per_prompt=1, do_classifier_free_guidance=False)
    pooled = answer[2].to("cpu", torch.float32) if len(answer) > 2 else [None] * len(prompts)
    return answer[0].to("cpu", torch.float32), pooled


def _warn(prompts: Sequence[str], tokens: Sequence[Tokens]) -> None:
    cut = [(prompt, entry) for prompt, entry in zip(prompts, tokens, strict=True) if entry.cut]
    for prompt, entry in cut[:_NAMED]:
        warnings.warn(
            f"“{shortened(prompt)}” is longer than the {len(entry.ids)} tokens that the text encoder reads; "
            f"it does not see the end: “{shortened(entry.cut)}”.",
            stacklevel=3,
        )
    if len(cut) > _NAMED:
        warnings.warn(f"{len(cut) - _NAMED} more prompts are longer than the text encoder reads.", stacklevel=3)


def parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in turns of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
