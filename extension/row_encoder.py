"""Forge's language models and T5 as the library asks for them: a row for each token of a prompt, its template around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from backend import memory_management
from modules.prompt_parser import SdConditioning

from ..editing.encoding import SHORT_PADDING, Chunk, EncodedPrompt, EncodeShort
from ..editing.errors import EditError
from ..editing.wording import shortened
from .running_host import host

_PROBE = "a red house"


class RowEncoder:
    """``encode`` for the library. What the WebUI adds for reference images is left out.

    Args:
        model: the WebUI's ``sd_model``.
        engine: its text engine, with ``tokenize_line``.
        advance: told before each prompt how many were encoded, and of how many; may raise to stop.
    """

    def __init__(self, model: Any, engine: Any, advance: Callable[[int, int], None] = lambda done, total: None) -> None:
        self.model, self.engine, self.advance = model, engine, advance
        self._tokenizer = getattr(engine, "t5_tokenizer", None) or engine.tokenizer  # Anima's rows are its T5 tokens'
        self._padding = getattr(engine, "id_pad", getattr(engine, "pad_token", None))
        empty, probe = self._tokens(""), self._tokens(_PROBE)
        self._before = _shared(empty, probe)
        self._behind = _shared(empty[self._before :][::-1], probe[self._before :][::-1])

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts, each by itself, as the WebUI does.

        Raises:
            EditError: a prompt has BREAK, or there is no row for each of its tokens.
        """
        encoded = []
        with torch.no_grad(), host().quiet(self.model):
            memory_management.load_model_gpu(self.model.forge_objects.clip.patcher)
            for number, prompt in enumerate(prompts):
                self.advance(number, len(prompts))
                encoded.append(self._encode(prompt))
        return encoded

    @property
    def vocabulary(self) -> dict[str, int]:
        """Piece to number of the tokenizer."""
        return self._tokenizer.get_vocab()

    @property
    def short(self) -> EncodeShort | None:
        """The same without most of the padding; None where there is none."""
        return self._short if len(_ids(self._chunk(""))) > len(self._tokens("")) + SHORT_PADDING else None

    def _short(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        return [self._without_padding(encoded) for encoded in self(prompts)]

    def _without_padding(self, encoded: EncodedPrompt) -> EncodedPrompt:
        (chunk,) = encoded.chunks
        length = min(chunk.stop, chunk.words.stop + self._behind + SHORT_PADDING)
        return EncodedPrompt(
            encoded.tokens[:length], (Chunk(0, chunk.words, length),), encoded.embeddings[:length], padding=chunk.stop - length
        )

    def _encode(self, prompt: str) -> EncodedPrompt:
        tokens, all_tokens = self._tokens(prompt), _ids(self._chunk(prompt))
        (found,) = self.engine(SdConditioning([prompt]))
        rows = found.detach().to("cpu", torch.float32).clone()
        rows = rows.reshape(-1, rows.shape[-1])
        cut = max(0, len(all_tokens) - len(rows))  # Qwen-Image leaves out the head of its template
        words = range(self._before - cut, len(tokens) - self._behind - cut)
        if words.start < 0 or rows[len(all_tokens) - cut :].any():
            raise EditError("There is no row for each token of this model's text; load an SD 1.x, SD 2.x or SDXL checkpoint.")
        pieces = self._tokenizer.convert_ids_to_tokens(all_tokens[cut:])
        pieces += [""] * (len(rows) - len(pieces))
        return EncodedPrompt(tuple(pieces), (Chunk(0, words, len(rows)),), rows)

    def _tokens(self, prompt: str) -> list[int]:
        """Without the padding behind them."""
        tokens = _ids(self._chunk(prompt))
        while len(tokens) > 1 and tokens[-1] == self._padding:
            tokens.pop()
        return tokens

    def _chunk(self, prompt: str) -> Any:
        if hasattr(self.engine, "process_template"):  # Lumina's, for prompts that are not negative
            prompt = self.engine.process_template(prompt, False)
        cut = self.engine.tokenize_line(prompt)
        chunks = cut[0] if isinstance(cut, tuple) else cut
        if len(chunks) != 1:
            raise EditError(f"“{shortened(prompt)}” is read in several parts by this model; write it without BREAK.")
        return chunks[0]


def _ids(chunk: Any) -> list[int]:
    return list(getattr(chunk, "t5_tokens", None) or chunk.tokens)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens are the same from the beginning on."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count
