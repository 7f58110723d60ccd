"""The WebUI's text encoder as the library asks for it: chunks, weights, CLIP skip and LoRA as in the user's own prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from modules import devices
from modules.prompt_parser import SdConditioning

from ..editing.encoding import Chunk, EncodedPrompt, EncodeShort, short_length, short_prompt
from ..editing.errors import EditError
from .running_host import host

_AT_ONCE = 16


class WebuiEncoder:
    """``encode`` for the library.

    Args:
        model: the WebUI's ``sd_model``.
        advance: told before each batch how many prompts were encoded, and of how many; may raise to stop.
        pooled: how many numbers the pooled embedding has, at the head of what the model calls its vector; 0 for none.
    """

    def __init__(self, model: Any, advance: Callable[[int, int], None] = lambda done, total: None, pooled: int = 0) -> None:
        self.model, self.advance, self.pooled = model, advance, pooled
        self.engine = host().text_engine(model)

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts; those of equally many chunks and without weights in one batch.

        Raises:
            EditError: the model joins its encoders in a way that has no row for each token.
        """
        cut = [self.engine.process_texts([prompt])[0][0] for prompt in prompts]
        batches: dict[Hashable, list[int]] = defaultdict(list)
        for number, chunks in enumerate(cut):
            # Emphasis is scaled by the mean over a whole batch, so a weighted prompt goes by itself, as the user's own does.
            weighted = any(weight != 1 for chunk in chunks for weight in chunk.multipliers)
            batches[len(chunks), number if weighted else None].append(number)
        encoded: dict[int, EncodedPrompt] = {}
        for numbers in batches.values():
            for start in range(0, len(numbers), _AT_ONCE):
                self.advance(len(encoded), len(prompts))
                batch = numbers[start : start + _AT_ONCE]
                rows, vectors = self._learn([prompts[number] for number in batch])
                for number, row, vector in zip(batch, rows, vectors, strict=True):
                    encoded[number] = self._prompt(cut[number], row, vector)
        return [encoded[number] for number in range(len(prompts))]

    @property
    def vocabulary(self) -> dict[str, int]:
        """Piece to number of the tokenizer."""
        return host().vocabulary(self.engine)

    @property
    def short(self) -> EncodeShort | None:
        """The same in short windows; None where the model's encoder reads whole ones only, or is one of several."""
        alone = getattr(self.model, "conditioner", None) is None and self.engine.id_pad == self.engine.id_end
        return self._short if alone and hasattr(self.engine, "encode_with_transformers") else None

    @torch.no_grad()
    def _short(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        self.advance(0, len(prompts))
        windows = [list(self.engine.process_texts([prompt])[0][0][0].tokens) for prompt in prompts]
        words = [range(1, ids.index(self.engine.id_end, 1)) for ids in windows]
        longest = max(short_length(own, len(ids)) for own, ids in zip(words, windows, strict=True))
        read = torch.tensor([ids[:longest] for ids in windows])
        with devices.autocast():
            rows = self.engine.encode_with_transformers(read.to(devices.device)).float().cpu()
        return [
            short_prompt(host().pieces(self.engine, ids), own, row) for ids, own, row in zip(windows, words, rows, strict=True)
        ]

    def _learn(self, texts: list[str]) -> tuple[torch.Tensor, Sequence[torch.Tensor | None]]:
        with torch.no_grad(), devices.autocast(), host().quiet(self.model):
            learned = self.model.get_learned_conditioning(SdConditioning(texts))
        if not isinstance(learned, dict):
            return learned.detach().to("cpu", torch.float32).clone(), [None] * len(texts)
        vectors = learned["vector"][:, : self.pooled].detach().to("cpu", torch.float32).clone()
        rows = learned["crossattn"].detach().to("cpu", torch.float32).clone()
        return rows, list(vectors) if self.pooled else [None] * len(texts)

    def _prompt(self, cut: Sequence[Any], rows: torch.Tensor, pooled: torch.Tensor | None) -> EncodedPrompt:
        pieces: list[str] = []
        chunks: list[Chunk] = []
        for chunk in cut:
            start, ids = len(pieces), list(chunk.tokens)
            words = ids.index(self.engine.id_end, 1)
            named = host().pieces(self.engine, ids)
            for fix in chunk.fixes:  # a textual inversion stands at the places that its vectors take
                for place in range(int(fix.embedding.vectors)):
                    named[fix.offset + 1 + place] = f"embedding:{fix.embedding.name}:{place}"
            pieces += named
            chunks.append(Chunk(start, range(start + 1, start + words), len(pieces)))
        if len(rows) != len(pieces):
            raise EditError(
                "This model's text encoder gives another number of tokens than its prompt has; load an SD 1.x, SD 2.x or SDXL "
                "checkpoint, and switch old emphasis off."
            )
        return EncodedPrompt(tuple(pieces), tuple(chunks), rows, pooled)
