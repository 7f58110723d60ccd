"""The second moment of what a text encoder knows: the directions of the embedding space that prompts use.

It is taken over ordinary captions and over the words of the encoder's own vocabulary, each in a short prompt of its own. A word
that no prompt has is not held in place, and no list of captions names all that an encoder of 49,000 tokens knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from ..encoding import Encode, EncodedPrompt, EncodeShort, short_prompt
from ..known_texts import KnownTexts
from ..ordinary_captions import ordinary_captions
from .space import Moment
from .token_columns import check_finite, positions_of
from .wide_moment import WIDEST, WideMoment

_SHRINKAGE = 0.002
"""Ten times as much costs two points where 50 edits are solved together; half as much changes nothing. See docs/moments.md."""
_AT_ONCE = 16
_SHORT_AT_ONCE = 32
_WORDS_SHARE = 0.7
"""Of the words in the moment. On the bundled model's validation edits 0.5 and 0.85 are no better, see docs/moments.md."""
WORDS_IN_WHOLE_WINDOWS = 1000
"""How many words are read where short windows cannot be."""
_PADDING_READ = 16
"""Rows of wide embeddings' padding that are read."""
_ALIKE = 0.01
"""Relative difference of a prompt's rows in short and whole windows: ten times what half precision makes (:mod:`.end_only`)."""
_LEFT_OUT = (0.9, 0.5, 0.0)
"""How much of its own texts a recipe leaves out of S: the first share with which S stays positive. S may be known a few percent
wrong, of a relative of the encoder."""


def second_moment(prompts: Iterable[EncodedPrompt], positions: str = "all") -> Moment:
    """S, the mean of c c^T over the tokens of all prompts.

    The start token is left out. It is the same in every prompt, so that no edit asks for another, and the edit's own sentences
    hold it; in some encoders it is many times longer than all other tokens, and would outweigh them.

    Args:
        prompts: ordinary captions, encoded.
        positions: which of their tokens count (:func:`~.token_columns.positions_of`).

    Returns:
        (width, width), float64, or that of wide embeddings.

    Raises:
        EditError: an embedding is not finite.
    """
    total = Total()
    total.add(prompts, positions)
    return total.mean()


@dataclass
class Total:
    """sum c c^T over ``rows`` tokens: (width, width) in float64, or as a :class:`~.wide_moment.WideMoment`."""

    square: Any = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    rows: float = 0.0

    def add(self, prompts: Iterable[EncodedPrompt], positions: str = "all") -> None:
        """The tokens of more prompts; the last of a short window stands for the padding behind it, too."""
        parts = []
        for prompt in prompts:
            starts = {place for chunk in prompt.chunks for place in range(chunk.start, chunk.words.start)}
            places = [place for place in positions_of(prompt, positions) if place not in starts]
            places, counts = _less_padding(prompt, places)
            rows = prompt.embeddings[places].double()
            check_finite(rows)
            self.rows += float(counts.sum()) + prompt.padding
            rows *= counts.sqrt().to(rows.device)
            if prompt.padding:
                rows[-1] *= (1 + prompt.padding) ** 0.5
            parts.append(rows)
        rows = torch.cat(parts)
        if rows.shape[1] > WIDEST:
            self.square = (self.square if isinstance(self.square, WideMoment) else WideMoment.empty(rows.shape[1])).plus(rows)
        else:
            self.square = self.square.to(rows.device) + rows.T @ rows

    def mean(self) -> Moment:
        """The mean over the tokens."""
        return self.square.scale(1 / self.rows) if isinstance(self.square, WideMoment) else self.square / self.rows

    def without(self, part: Total, share: float) -> Total:
        """Less a share, below 1, of some of the tokens."""
        rows = self.rows - share * part.rows
        if isinstance(self.square, WideMoment):
            return Total(self.square.minus(part.square, share) if part.rows else self.square, rows)
        return Total(self.square - share * part.square.to(self.square.device), rows)


def _less_padding(prompt: EncodedPrompt, places: list[int]) -> tuple[list[int], torch.Tensor]:
    """Which rows of wide embeddings are read, and for how many each stands: a few, evenly spread, of much padding.

    Language models have up to 500 rows of it behind a prompt, each of which costs as much as a word.
    """
    tokens = prompt.tokens
    end = next((place + 1 for place in reversed(range(len(tokens))) if tokens[place] != tokens[-1]), 0)
    content, padding = [place for place in places if place < end], [place for place in places if place >= end]
    if prompt.embeddings.shape[1] <= WIDEST or len(padding) <= _PADDING_READ:
        return places, torch.ones(len(places), 1, dtype=torch.float64)
    chosen = torch.linspace(0, len(padding) - 1, _PADDING_READ).round().long().tolist()
    counts = torch.ones(len(content) + _PADDING_READ, 1, dtype=torch.float64)
    counts[len(content) :] = len(padding) / _PADDING_READ
    return [*content, *(padding[place] for place in chosen)], counts


@dataclass
class MomentSums:
    """A moment in the making: what was read so far of captions and words.

    Args:
        captions, words: sums over the tokens of either.
        read: how many prompts.
        short: whether in short windows.
    """

    captions: Total = field(default_factory=Total)
    words: Total = field(default_factory=Total)
    read: int = 0
    short: bool = False

    def go_on(
        self, texts: KnownTexts, encode: Encode, at_once: int = _AT_ONCE, advance: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        """Read what has not been read yet.

        Args:
            texts: all of it.
            encode: the text encoder, whose windows may be short ones.
            at_once: how many prompts in a call of it.
            advance: told before each call how many prompts were read, and of how many; may raise to stop.

        Raises:
            EditError: an embedding is not finite.
        """
        while self.read < len(texts):
            advance(self.read, len(texts))
            prompts = texts.batch(self.read, at_once)
            (self.captions if self.read < len(texts.captions) else self.words).add(encode(prompts))
            self.read += len(prompts)
        advance(self.read, len(texts))

    def moment(self) -> Moment:
        """S: (width, width), float64, or that of wide embeddings."""
        if not self.words.rows:
            return self.captions.mean()
        captions: Any = self.captions.mean()
        words: Any = self.words.mean()
        wide = isinstance(captions, WideMoment)
        blended: Moment = captions.blend(words, _WORDS_SHARE) if wide else torch.lerp(captions, words, _WORDS_SHARE)
        return blended

    def without(self, part: MomentSums, share: float) -> MomentSums:
        """Less a share, below 1, of some of the texts."""
        captions, words = self.captions.without(part.captions, share), self.words.without(part.words, share)
        return MomentSums(captions, words, self.read - part.read, self.short)


def short_windows(whole: EncodedPrompt, short: EncodeShort | None, prompt: str) -> EncodeShort | None:
    """``short`` where it says of a prompt what the encoder says in a whole window; else None.

    Args:
        whole: the prompt in its whole window.
        short: the encoder in short windows; None where it has none.
        prompt: the text.
    """
    if short is None:
        return None
    (cut,) = short([prompt])
    rows = whole.embeddings[: len(cut.tokens)]
    if rows.shape != cut.embeddings.shape or len(cut.tokens) + cut.padding != len(whole.tokens):
        return None
    return short if float((rows - cut.embeddings).norm()) <= _ALIKE * float(rows.norm()) else None


@dataclass(frozen=True)
class KnownMoment:
    """S of a text encoder over what it is known to read.

    Args:
        texts: all of it.
        sums: over its tokens.
    """

    texts: KnownTexts
    sums: MomentSums

    def whole(self) -> Moment:
        """S over all texts: (width, width), float64, or that of wide embeddings."""
        return self.sums.moment()

    def beside(self, subjects: Iterable[str], encode: Encode) -> Moment:
        """S without the texts that speak of what is edited, which nobody asks to be held in place.

        Args:
            subjects: the sources of the edits.
            encode: the text encoder, for these texts, in whole windows.

        Returns:
            (width, width), float64, or that of wide embeddings.

        Raises:
            EditError: an embedding is not finite.
        """
        own = self.texts.about(subjects)
        if not len(own):
            return self.whole()
        edited = MomentSums()
        edited.go_on(own, partial(_cut, encode) if self.sums.short else encode)
        rest = (self.sums.without(edited, share).moment() for share in _LEFT_OUT)
        return next((moment for moment in rest if _is_positive(moment)), self.whole())


def _is_positive(moment: Moment) -> bool:
    return isinstance(moment, WideMoment) or not torch.linalg.cholesky_ex(shrunk(moment)).info


def _cut(encode: Encode, prompts: Sequence[str]) -> list[EncodedPrompt]:
    """Whole windows made short."""
    return [short_prompt(prompt.tokens, prompt.chunks[0].words, prompt.embeddings) for prompt in encode(prompts)]


def read_known(
    encode: Encode,
    texts: KnownTexts,
    short: EncodeShort | None = None,
    sums: MomentSums | None = None,
    advance: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> KnownMoment:
    """S of a text encoder over captions and words.

    Args:
        encode: the text encoder.
        texts: what it knows.
        short: the same in short windows, where it has them.
        sums: of an earlier call that was stopped, to go on with.
        advance: see :meth:`MomentSums.go_on`.

    Raises:
        EditError: an embedding is not finite.
    """
    sums = MomentSums(short=short is not None) if sums is None else sums
    sums.go_on(texts, short or encode, _SHORT_AT_ONCE if short else _AT_ONCE, advance)
    return KnownMoment(texts, sums)


def shrunk(moment: Moment, shrinkage: float = _SHRINKAGE) -> Moment:
    """S, drawn a little towards its own diagonal, so that directions that no caption uses are held a little, too.

    Towards the diagonal rather than the identity, because text encoders have a few huge coordinates, which would decide alone
    how far S is drawn in all others. An encoder whose coordinates are written in other units gets the same edit. Where they are
    mixed, the map differs in directions that hardly any token has: on the bundled model, turned by an orthogonal matrix,
    unrelated prompts move by 0.041 in place of 0.040, and by 0.046 behind a matrix of condition 1e4.

    Args:
        moment: S, (width, width).
        shrinkage: how far it is drawn, from 0 to 1.
    """
    if isinstance(moment, WideMoment):
        return moment.shrunk(shrinkage)
    diagonal = moment.diagonal()
    # A coordinate that no token uses, as behind an encoder narrower than the model reads, still needs an inverse.
    diagonal = torch.where(diagonal > 0, diagonal, diagonal.mean())
    return torch.lerp(moment, torch.diag(diagonal), shrinkage)


def read_captions(encode: Encode, captions: Sequence[str] | None = None) -> KnownMoment:
    """S of a text encoder over captions alone; None are :func:`~..ordinary_captions.ordinary_captions`."""
    return read_known(encode, KnownTexts(ordinary_captions() if captions is None else captions))
