"""The text of pipelines whose model reads one encoder's rows, be it a language model's within a template or T5's.

Nothing is known of a pipeline's template. Its text encoder says which tokens it was handed, and what they share with those of
the empty prompt is not the prompt's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ..editing.encoding import Chunk, EncodedPrompt
from ..editing.errors import EditError
from ..editing.templates import PROBES, first_difference, own_tokens, template_around
from .compiled import original
from .supported import execution_device, plain_tokenizer

_PROMPTS = ("prompt", "negative_prompt")


class LanguageEncoder:
    """``encode`` for the editing library: what the pipeline's own ``encode_prompt`` gives with the settings of its call.

    Args:
        pipe: a pipeline with one text encoder whose rows its model reads.

    Raises:
        EditError: a text encoder was left out, or it is not known which of its tokens the rows belong to.
    """

    def __init__(self, pipe: Any) -> None:
        missing = [name for name, part in pipe.components.items() if name.startswith("text_encoder") and part is None]
        if missing:
            raise EditError(f"The {type(pipe).__name__} has no {missing[0]}; load it with all of its text encoders.")
        self.pipe = pipe
        one, other, empty = map(self._read, (*PROBES, ""))
        self._around = template_around(one.plain, other.plain, empty.plain)
        self._check(one, other)

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts one by one, since some pipelines have other rows for those of a batch; on the CPU, in float32."""
        return [self._prompt(self._read(prompt)) for prompt in prompts]

    @torch.no_grad()
    def _read(self, prompt: str) -> _Read:
        with _handed(self.pipe) as handed:
            answer = self.pipe.encode_prompt(prompt=prompt, **_arguments(self.pipe))
        rows = answer[0] if isinstance(answer, tuple) else answer
        if not handed or len(rows) != 1 or rows[0].ndim != 2:
            raise self._unknown()
        ids, mask = handed[0]
        window = ids[0].tolist()
        return _Read(window, self._kept(window, mask), rows[0].to("cpu", torch.float32))

    def _kept(self, window: Sequence[int], mask: torch.Tensor | None) -> list[int]:
        """The places of a window that are no padding."""
        if mask is not None:
            return [int(place) for place in mask[0].nonzero().flatten()]
        padding, last = plain_tokenizer(self.pipe.tokenizer).pad_token_id, len(window)
        while last and window[last - 1] == padding:
            last -= 1
        return list(range(last))

    def _check(self, one: _Read, other: _Read) -> None:
        """That rows are those of the last tokens where there are fewer rows than tokens, which a causal encoder shows."""
        for read in (one, other):
            if not read.places:
                raise self._unknown()
        if len(one.places) < len(one.kept):
            first = next(place for place, (a, b) in enumerate(zip(one.plain, other.plain, strict=False)) if a != b)
            if first_difference(one.rows, other.rows) != first - (len(one.kept) - len(one.places)):
                raise self._unknown()

    def _unknown(self) -> EditError:
        return EditError(
            f"It is not known which tokens the text of a {type(self.pipe).__name__} belongs to, so no edit can be made for it."
        )

    def _prompt(self, read: _Read) -> EncodedPrompt:
        places = read.places
        if not places:
            raise self._unknown()
        row_of = {place: row for row, place in enumerate(places)}
        own = [row_of[read.kept[place]] for place in own_tokens(read.plain, self._around) if read.kept[place] in row_of]
        words = range(own[0], own[-1] + 1) if own else range(0)
        pieces = plain_tokenizer(self.pipe.tokenizer).convert_ids_to_tokens([read.window[place] for place in places])
        return EncodedPrompt(tuple(pieces), (Chunk(0, words, len(pieces)),), read.rows)


@dataclass(frozen=True)
class _Read:
    """A prompt as its encoder was handed it.

    Args:
        window: its tokens, with template and padding.
        kept: the places of those that are no padding.
        rows: what the pipeline makes of it, (rows, width).
    """

    window: Sequence[int]
    kept: Sequence[int]
    rows: torch.Tensor

    @property
    def plain(self) -> list[int]:
        """The tokens without padding."""
        return [self.window[place] for place in self.kept]

    @property
    def places(self) -> Sequence[int]:
        """The place in the window of each row: all of it, or what is no padding, or so much of its end; empty if neither."""
        count = len(self.rows)
        if count == len(self.window):
            return range(count)
        return self.kept[len(self.kept) - count :] if count <= len(self.kept) else ()


@contextmanager
def _handed(pipe: Any) -> Iterator[list[tuple[torch.Tensor, torch.Tensor | None]]]:
    """While it is open, the tokens and the mask that the pipeline's text encoder is handed are taken note of."""
    handed: list[tuple[torch.Tensor, torch.Tensor | None]] = []

    def note(encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = dict(zip(("input_ids", "attention_mask"), args, strict=False)) | kwargs
        if named.get("input_ids") is not None:
            handed.append((named["input_ids"], named.get("attention_mask")))

    handle = original(pipe.text_encoder).register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield handed
    finally:
        handle.remove()


def _arguments(pipe: Any) -> dict[str, Any]:
    """What a pipeline's call hands its ``encode_prompt`` beside the prompt, where nothing else is asked of it."""
    taken = inspect.signature(pipe.encode_prompt).parameters
    called = inspect.signature(type(pipe).__call__).parameters
    settings = {
        name: called[name].default
        for name in taken
        if name in called and name not in _PROMPTS and called[name].default is not inspect.Parameter.empty
    }
    own = {"device": execution_device(pipe), "do_classifier_free_guidance": False}
    own |= dict.fromkeys(("num_images_per_prompt", "num_videos_per_prompt"), 1)
    return settings | {name: value for name, value in own.items() if name in taken}
