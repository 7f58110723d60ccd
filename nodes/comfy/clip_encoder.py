"""ComfyUI's CLIP as the library's text encoder: one batch, each distinct prompt once, unchanged prompts never again."""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from ...editing.encoding import Chunk, EncodedPrompt
from ...editing.errors import EditError
from ...editing.templates import PROBES
from ...editing.vocabulary import whole_words
from .progress import stop_if_interrupted
from .text_beside import handed_beside, refuse_beside
from .token_rows import TokenRows, no_rows

_CHUNKS_AT_ONCE = 256
_T5 = "t5xxl"
_CACHE_BYTES = 128 * 2**20
_KNOWN = {"l", "g", "h", _T5}
"""The encoders that are known to go together as :meth:`ComfyEncoder._find_streams` has it."""

Tokens = dict[str, list[list[tuple[Any, float, int]]]]
"""As ``clip.tokenize(…, return_word_ids=True)`` gives them: encoder name to chunks of (token or vector, weight, word)."""


class _Cache:
    """What is known of one text encoder: encoded prompts, the least recently used ones dropped, and its streams and rows."""

    def __init__(self) -> None:
        self.entries: OrderedDict[Hashable, EncodedPrompt] = OrderedDict()
        self.nbytes = 0
        self.streams: tuple[str, ...] = ()
        self.rows: TokenRows | None = None
        self.beside: tuple[str, ...] | None = None

    def get(self, key: Hashable) -> EncodedPrompt | None:
        if key in self.entries:
            self.entries.move_to_end(key)
        return self.entries.get(key)

    def put(self, key: Hashable, prompt: EncodedPrompt) -> None:
        self.entries[key] = prompt
        self.nbytes += prompt.embeddings.nbytes
        while self.nbytes > _CACHE_BYTES and len(self.entries) > 1:
            self.nbytes -= self.entries.popitem(last=False)[1].embeddings.nbytes


_caches: weakref.WeakKeyDictionary[torch.nn.Module, _Cache] = weakref.WeakKeyDictionary()


class ComfyEncoder:
    """``encode`` for the library, over a ComfyUI CLIP. Does what CLIP Text Encode does: chunks, weights, CLIP skip.

    Args:
        clip: a ``comfy.sd.CLIP``.

    ``encoded`` counts the prompts that had to go through the encoder.
    """

    def __init__(self, clip: Any) -> None:
        if clip is None:
            raise EditError("There is no CLIP; choose a checkpoint that contains a text encoder, or connect a CLIP Loader.")
        self.clip = clip
        self.encoded = 0
        self._cache = _caches.setdefault(clip.cond_stage_model, _Cache())

    @property
    def key(self) -> Hashable:
        """Equal for two encoders that give the same embeddings: model, patches, CLIP skip, options."""
        patcher = self.clip.patcher
        options = repr(sorted(getattr(self.clip, "tokenizer_options", {}).items()))
        hooks = getattr(patcher, "forced_hooks", None)
        return id(self.clip.cond_stage_model), patcher.patches_uuid, self.clip.layer_idx, options, id(hooks) if hooks else None

    @property
    def words(self) -> tuple[str, ...]:
        """Whole words of the tokenizer whose tokens are the first rows; none where the host does not tell."""
        return words_of(tokenizer_of(self.clip, self._streams[0]))

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts, the ones not seen before in one batch.

        Raises:
            EditError: the CLIP joins its encoders in a way that has no row for each token.
        """
        state = self.key
        tokenized = [self._tokenize(prompt) for prompt in prompts]
        keys = [(state, _content(tokens)) for tokens in tokenized]
        missing = {key: tokens for key, tokens in zip(keys, tokenized, strict=True) if self._cache.get(key) is None}
        fresh = dict(zip(missing, self._encode(list(missing.values())), strict=True))
        answers = [fresh.get(key) or self._cache.get(key) for key in keys]
        for key, prompt in fresh.items():
            self._cache.put(key, prompt)
        self.encoded += len(fresh)
        return answers

    def with_pooled(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """The same, each with its pooled embedding where the CLIP has one; hosts give it for one prompt at a time."""
        return [self._with_pooled(prompt, encoded) for prompt, encoded in zip(prompts, self(prompts), strict=True)]

    def _with_pooled(self, prompt: str, encoded: EncodedPrompt) -> EncodedPrompt:
        key = ("pooled", self.key, _content(self._tokenize(prompt)))  # a textual inversion may change under its name
        with_pooled = self._cache.get(key)
        if with_pooled is None:
            stop_if_interrupted()
            pooled = self.clip.encode_from_tokens(self.clip.tokenize(prompt), return_pooled=True)[1]
            with_pooled = replace(encoded, pooled=None if pooled is None else pooled[0].to("cpu", torch.float32).clone())
            self._cache.put(key, with_pooled)
        return with_pooled

    def uncached(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts that will not be asked for again, in one batch."""
        return self._encode([self._tokenize(prompt) for prompt in prompts])

    @property
    def _streams(self) -> tuple[str, ...]:
        """The encoders whose tokens are the rows of the output, in order: one for most models, CLIP-L and T5 for SD3."""
        self._cache.streams = self._cache.streams or self._find_streams()
        return self._cache.streams

    def _find_streams(self) -> tuple[str, ...]:
        """By what the host joins for an empty prompt. SDXL's two encoders read the same words: CLIP-L stands for both."""
        tokens = _chunks_of(self.clip.tokenize(""))
        if _T5 in tokens and not hasattr(self.clip.cond_stage_model, _T5):  # Anima's: they go to the model beside other rows
            raise no_rows()
        if len(tokens) > 1 and not tokens.keys() <= _KNOWN:
            return (self._growing_stream(tokens),)
        clips = ("l",) if "l" in tokens else tuple(name for name in tokens if name != _T5)[:1]
        choices = [(*clips, _T5), (_T5,), clips] if _T5 in tokens else [clips]
        rows = self.clip.encode_from_tokens({**tokens, **self._flags}).shape[1] if len(choices) > 1 else 0
        if getattr(self.clip.cond_stage_model, _T5, tokens) is None:  # its place is kept in the tokens where it is not loaded
            choices = [clips]
        fitting = [names for names in choices if names and sum(len(tokens[name][0]) for name in names) == rows]
        return fitting[0] if fitting else choices[-1]

    def _growing_stream(self, names: Iterable[str]) -> str:
        """Of several encoders the one whose rows the output has: a longer prompt has as many more tokens there as rows."""
        texts = [" ".join(PROBES), " ".join(PROBES * 2)]
        tokens = [_chunks_of(self.clip.tokenize(text)) for text in texts]
        rows = [len(self._rows_of(text)) for text in texts]
        grown = [name for name in names if all(name in each for each in tokens)]
        grown = [name for name in grown if len(tokens[1][name][0]) - len(tokens[0][name][0]) == rows[1] - rows[0] > 0]
        if len(grown) != 1:
            raise no_rows()
        return grown[0]

    def _rows_of(self, text: str) -> torch.Tensor:
        """What the host makes of a prompt: (rows, width)."""
        out = self.clip.encode_from_tokens({**self._flags, **self.clip.tokenize(text)})
        if out.ndim != 3 or len(out) != 1:
            raise no_rows()
        return out[0].to("cpu", torch.float32)

    @cached_property
    def _names(self) -> set[str]:
        """The CLIP's encoders."""
        return set(_chunks_of(self.clip.tokenize("")))

    @property
    def _token_rows(self) -> TokenRows | None:
        """Where the rows of the output begin, and what stands around every prompt; None for CLIP and T5, which say it."""
        if self._names <= _KNOWN:
            return None
        if self._cache.rows is None:
            self._cache.rows = TokenRows.found(self._entries, self._rows_of, tokenizer_of(self.clip, self._streams[0]))
        return self._cache.rows

    def _entries(self, text: str) -> list[Any]:
        chunk: list[Any] = self._main(with_words(self.clip.tokenize(text, return_word_ids=True)))[0]
        return chunk

    @property
    def _alone(self) -> bool:
        """Whether prompts have to be encoded one by one."""
        return len(self._streams) > 1 or self._several or (self._token_rows is not None and not self._token_rows.every)

    @property
    def _several(self) -> bool:
        """Whether the CLIP has encoders beside that of the rows that need no like number of chunks."""
        return len(self._names) > 1 and not self._names <= _KNOWN

    def check_rows_alone(self) -> None:
        """Raise :class:`EditError` where a model is handed more of a prompt than rows that are edited."""
        if self._cache.beside is None:
            self._cache.beside = handed_beside(self.clip)
        refuse_beside("This CLIP hands the model", self._cache.beside)

    @cached_property
    def _flags(self) -> dict[str, Any]:
        """What the host's tokens hold beside chunks, such as Qwen-Image 2.1's ``keep_vision``; the same for every text."""
        tokens = self.clip.tokenize("")
        return {name: value for name, value in tokens.items() if name not in _chunks_of(tokens)}

    def _tokenize(self, prompt: str) -> Tokens:
        tokens = with_words(self.clip.tokenize(prompt, return_word_ids=True))
        if len(self._streams) > 1 or self._several:
            return tokens
        # SDXL cuts the longer of its two encoders' outputs; the shorter one's chunks are what counts. An encoder whose output
        # is not part of the rows (Flux's CLIP) is cut to as many.
        rows = [name for name in tokens if (name == _T5) == (self._streams == (_T5,))]
        count = min(len(tokens[name]) for name in rows)
        return {name: (chunks * count if len(chunks) < count else chunks)[:count] for name, chunks in tokens.items()}

    def _encode(self, tokenized: list[Tokens]) -> list[EncodedPrompt]:
        if self._alone:
            return [self._encode_whole(tokens) for tokens in tokenized]
        # Chunks of equal length go together: one batch for CLIP, one for each length where prompts are not padded.
        batches: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
        for prompt, tokens in enumerate(tokenized):
            for number in range(len(self._main(tokens))):
                batches[tuple(len(chunks[number]) for chunks in tokens.values())].append((prompt, number))
        rows: dict[tuple[int, int], torch.Tensor] = {}
        for places in batches.values():
            for start in range(0, len(places), _CHUNKS_AT_ONCE):
                stop_if_interrupted()
                batch = places[start : start + _CHUNKS_AT_ONCE]
                rows.update(zip(batch, self._encode_batch([_chunk(tokenized[p], n) for p, n in batch]), strict=True))
        return [
            self._prompt(tokens, torch.cat([rows[prompt, number] for number in range(len(self._main(tokens)))]))
            for prompt, tokens in enumerate(tokenized)
        ]

    def _encode_batch(self, chunks: list[dict[str, list]]) -> list[torch.Tensor]:
        joined = {name: [[entry[:2] for entry in chunk[name]] for chunk in chunks] for name in chunks[0]}
        out = self.clip.encode_from_tokens({**joined, **self._flags})
        self._check(out, len(chunks) * len(self._main(chunks[0])))
        # Cloned: a view would keep the whole batch in memory for as long as one prompt of it is cached.
        return [part.clone() for part in out[0].to("cpu", torch.float32).chunk(len(chunks))]

    def _encode_whole(self, tokens: Tokens) -> EncodedPrompt:
        """One prompt by itself, where the rows of several encoders follow each other, or not every token has one."""
        stop_if_interrupted()
        plain = {name: [[entry[:2] for entry in chunk] for chunk in chunks] for name, chunks in tokens.items()}
        if len(self._streams) == 1:
            out = self.clip.encode_from_tokens({**plain, **self._flags})
            return self._prompt(tokens, out[0].to("cpu", torch.float32).clone())
        # The host cuts the longer of CLIP's two outputs.
        count = min(len(chunks) for name, chunks in tokens.items() if name != _T5)
        tokens = {name: chunks if name == _T5 else chunks[:count] for name, chunks in tokens.items()}
        out = self.clip.encode_from_tokens({**plain, **self._flags})
        self._check(out, sum(len(chunk) for name in self._streams for chunk in tokens[name]))
        return self._prompt(tokens, out[0].to("cpu", torch.float32).clone())

    def _check(self, out: torch.Tensor, expected: int) -> None:
        if out.shape[0] != 1 or out.shape[1] != expected:
            raise no_rows()

    def _main(self, tokens: dict[str, Any]) -> Any:
        return tokens[self._streams[0]]

    def _prompt(self, tokens: Tokens, embeddings: torch.Tensor) -> EncodedPrompt:
        if self._token_rows is not None and len(self._main(tokens)) == 1:
            return self._placed(self._token_rows, tokens, embeddings)
        pieces: list[str] = []
        chunks: list[Chunk] = []
        for stream, name in enumerate(self._streams):
            tokenizer = tokenizer_of(self.clip, name)
            opening = int(getattr(tokenizer, "start_token", None) is not None)
            vocabulary = getattr(tokenizer, "inv_vocab", {})
            for chunk in tokens[name]:
                start = len(pieces)
                words = [position for position, (_, _, word) in enumerate(chunk) if word > 0]
                span = range(start + words[0], start + words[-1] + 1) if words else range(start + opening, start + opening)
                pieces += [piece_of(token, vocabulary) for token, _, _ in chunk]
                chunks.append(Chunk(start, span, len(pieces), stream))
        return EncodedPrompt(tuple(pieces), tuple(chunks), embeddings)

    def _placed(self, token_rows: TokenRows, tokens: Tokens, embeddings: torch.Tensor) -> EncodedPrompt:
        """Where a template stands around the prompt, or not every token has a row."""
        shown, words = token_rows.place(self._main(tokens)[0], len(embeddings))
        vocabulary = getattr(tokenizer_of(self.clip, self._streams[0]), "inv_vocab", {})
        return EncodedPrompt(tuple(piece_of(token, vocabulary) for token in shown), (Chunk(0, words, len(shown)),), embeddings)


def tokenizer_of(clip: Any, name: str) -> Any:
    """The host's tokenizer of one of the CLIP's encoders, such as "clip_l", "l" or "t5xxl"; None where there is none."""
    name = name.removeprefix("clip_")
    return getattr(clip.tokenizer, f"clip_{name}", None) or getattr(clip.tokenizer, name, None)


def words_of(tokenizer: Any) -> tuple[str, ...]:
    """Whole words of a host's tokenizer (:func:`~...editing.vocabulary.whole_words`)."""
    return whole_words({piece: number for number, piece in getattr(tokenizer, "inv_vocab", {}).items()})


def _chunks_of(tokens: dict[str, Any]) -> Tokens:
    return {name: chunks for name, chunks in tokens.items() if isinstance(chunks, list)}


def with_words(tokens: dict[str, Any]) -> Tokens:
    """Chunks whose entries say which word they belong to; a template's tokens may leave it out."""
    return {name: [[(*entry, 0)[:3] for entry in chunk] for chunk in chunks] for name, chunks in _chunks_of(tokens).items()}


def _chunk(tokens: Tokens, number: int) -> dict[str, list]:
    return {name: chunks[number] for name, chunks in tokens.items()}


def _fingerprint(vector: torch.Tensor) -> str:
    """A textual inversion's vector, as something to compare by."""
    return hashlib.sha256(vector.detach().to("cpu", torch.float32).numpy().tobytes()).hexdigest()


def _content(tokens: Tokens) -> Hashable:
    return tuple(
        (
            name,
            tuple(tuple((_fingerprint(t) if torch.is_tensor(t) else t, weight) for t, weight, _ in chunk) for chunk in chunks),
        )
        for name, chunks in tokens.items()
    )


def piece_of(token: Any, vocabulary: dict[int, str]) -> str:
    """A token as text: a textual inversion by its vector."""
    if torch.is_tensor(token):
        return f"embedding:{_fingerprint(token)[:8]}"
    return vocabulary.get(token, str(token))
