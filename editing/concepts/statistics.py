"""What the MLP output matrices read in ordinary text: the uncentred second moment of each edited layer's keys.

Ordinary text is captions, each in a whole window: most of what a diffusion model reads is the text's end and padding. It is
also the encoder's own vocabulary, one word a prompt: captions name few words, and a word that none names is not held in place.
Words are read without padding. A causal encoder makes the same of what stands before it, in a tenth of the time.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import EditError
from ..kept_file import keep, read_kept
from ..tensor_file import TensorFile
from .keys import device_of
from .sentences import Tokenize, Tokens
from .subjects import normal
from .tower import Tower

FORMAT = "edit_assumption_statistics_4"
_AT_ONCE = 64
_WORDS_AT_ONCE = 1024
"""Words have three tokens where captions have a whole window, so more of them go through the encoder together."""
_SAVED_EVERY = 16
"""Batches: what a run that is stopped loses at most."""
_SHRINKAGE = 0.001
_PADDING_STEP = 10
"""One in so many tokens of padding is read: they say nearly the same."""


@dataclass
class Statistics:
    """Sums over the captions seen so far.

    Args:
        sums: layer to the weighted sum of k k^T, (key width, key width), float64.
        captions: how many captions, and words of the vocabulary, were seen.
        tokens: the weight of their tokens that were read.
        distinct: how many different keys all of them have (:func:`_distinct`).
    """

    sums: dict[int, torch.Tensor]
    captions: int = 0
    tokens: float = 0.0
    distinct: int = 0

    @property
    def thin(self) -> bool:
        """Whether there are fewer keys than numbers in a key, so that some directions are held by the shrinkage alone."""
        return any(self.distinct < len(total) for total in self.sums.values())

    def moments(self) -> dict[int, torch.Tensor]:
        """Layer to S = E[k k^T], drawn a little towards the identity so that it has an inverse.

        Raises:
            EditError: there were no captions.
        """
        if not self.tokens:
            raise EditError("The statistics are of no caption; compute them from some.")
        moments = {}
        for layer, total in self.sums.items():
            moment = total / self.tokens
            identity = torch.eye(len(moment), dtype=torch.float64) * (moment.trace() / len(moment))
            moments[layer] = torch.lerp(moment, identity, _SHRINKAGE)
        return moments

    def without(self, part: Statistics) -> Statistics:
        """Of the captions that are not in a part of them."""
        sums = {layer: total - part.sums[layer] for layer, total in self.sums.items()}
        return replace(self, sums=sums, captions=self.captions - part.captions, tokens=self.tokens - part.tokens)


@dataclass(frozen=True)
class Weights:
    """How much each place of a caption counts.

    Args:
        words: token id to the weight of its places up to a caption's last word: one over the root of how many there are. What
            every caption says would else decide alone, and rare words, of which a vocabulary mostly consists, be free to move.
        end: of the places behind, the end of the text and its padding: all of them together count as much as all words, for
            most of what a diffusion model reads stands there.
    """

    words: Mapping[int, float]
    end: float


def caption_weights(tokens: Iterable[Tokens]) -> Weights:
    """Those of some captions."""
    counts, ends = Counter[int](), 0
    for entry in tokens:
        counts.update(entry.ids[: entry.words.stop])
        ends += int(_read(entry)[entry.words.stop :].sum())
    whole = sum(count**0.5 for count in counts.values())
    return Weights({token: count**-0.5 for token, count in counts.items()}, whole / max(1, ends))


def _read(tokens: Tokens) -> torch.Tensor:
    """Which places of a caption are read: every tenth of its padding, which says nearly the same.

    Other ones in each caption, for what no caption shows is not held in place.
    """
    seen = torch.zeros(len(tokens.ids), dtype=torch.bool)
    end = tokens.words.stop
    seen[: end + 1] = True
    seen[end + 1 + sum(tokens.ids) % _PADDING_STEP :: _PADDING_STEP] = True
    return seen


@torch.no_grad()
def add_captions(statistics: Statistics, tower: Tower, tokens: Sequence[Tokens], weights: Weights) -> None:
    """Count some captions in, of whatever lengths."""
    longest = max(len(entry.ids) for entry in tokens)

    def padded(values: Sequence[float], filling: float) -> list[float]:
        return [*values, *[filling] * (longest - len(values))]

    ids = torch.tensor([padded(entry.ids, entry.ids[-1]) for entry in tokens], device=device_of(tower))
    seen = torch.tensor([padded(_read(entry).tolist(), False) for entry in tokens], device=ids.device)
    words = [[weights.words[token] for token in entry.ids[: entry.words.stop]] for entry in tokens]
    weight = torch.tensor([padded(own, weights.end) for own in words], device=ids.device)[seen]
    stream = tower.embed(ids)
    for layer in range(max(statistics.sums) + 1):
        stream, key = tower.attend(stream, layer)
        if layer in statistics.sums:
            keys = key[seen]
            statistics.sums[layer] += ((keys * weight[:, None]).T @ keys).double().cpu()
        stream = stream + tower.answer(key, layer)
    statistics.captions += len(tokens)
    statistics.tokens += float(weight.double().sum())


def caption_statistics(
    tower: Tower,
    tokenize: Tokenize,
    captions: Sequence[str],
    layers: Sequence[int],
    folder: Path | None = None,
    advance: Callable[[int], None] = lambda seen: None,
    edited: Iterable[str] = (),
    words: Sequence[str] = (),
) -> Statistics:
    """The statistics over captions and words, continued from the folder where an earlier run was stopped.

    Args:
        tower: the encoder.
        tokenize: its tokenizer.
        captions: what is ordinary to it.
        layers: that are to be edited.
        folder: where they are kept, under the hash of the encoder's weights, the layers and the texts; None keeps nothing.
        advance: told how many captions and words were seen so far; may raise to stop.
        edited: names that are to change; what has one of them holds nothing in place, unless there is nothing else.
        words: what else it knows, a prompt each (:func:`~..vocabulary.whole_words`).

    Raises:
        EditError: there is no caption, or an activation is not finite.
    """
    if not captions:
        raise EditError("There is no caption to compute the statistics from; give a file with one on each line.")
    path = folder and folder / f"{_name(tower, captions, words, layers)}.safetensors"
    statistics = (path and _load(path, layers, tower.key_width)) or _nothing(tower, layers)
    texts, naming = len(captions) + len(words), [_naming(part, edited) for part in (captions, words)]
    if statistics.captions < texts or any(naming):
        tokens = [entry for part in _batches(captions, words) for entry in part.tokens(tokenize)]
        weights, statistics.distinct = caption_weights(tokens), _distinct(tokens)
    for number, part in enumerate(_batches(captions, words), start=1):
        if part.start < statistics.captions:
            continue
        advance(statistics.captions)
        add_captions(statistics, tower, tokens[part.start : part.start + len(part.texts)], weights)
        if path and (statistics.captions >= texts or number % _SAVED_EVERY == 0):
            _save(statistics, path)
    advance(statistics.captions)
    if not all(total.isfinite().all() for total in statistics.sums.values()):
        raise EditError("The text encoder gave numbers that are not finite; load it in another precision.")
    if 0 < sum(map(len, naming)) < texts:
        left_out = _nothing(tower, layers)
        for part in _batches(*naming):
            add_captions(left_out, tower, part.tokens(tokenize), weights)
        statistics = statistics.without(left_out)
    return statistics


@dataclass(frozen=True)
class _Batch:
    """Texts that go through the encoder together: captions, or words, which are read without padding.

    ``start`` is the place of the first among all texts.
    """

    start: int
    texts: Sequence[str]
    short: bool

    def tokens(self, tokenize: Tokenize) -> list[Tokens]:
        return [entry.short() if self.short else entry for entry in tokenize(self.texts)]


def _batches(captions: Sequence[str], words: Sequence[str]) -> Iterator[_Batch]:
    """All captions, then all words."""
    for start in range(0, len(captions), _AT_ONCE):
        yield _Batch(start, captions[start : start + _AT_ONCE], short=False)
    for start in range(0, len(words), _WORDS_AT_ONCE):
        yield _Batch(len(captions) + start, words[start : start + _WORDS_AT_ONCE], short=True)


def _distinct(tokens: Iterable[Tokens]) -> int:
    """How many different keys there are up to the end token: in a causal encoder one for each beginning of a prompt.

    Padding is left out, since it says nearly the same at every place.
    """
    return len({entry.ids[: place + 1] for entry in tokens for place in range(min(entry.words.stop + 1, len(entry.ids)))})


def _nothing(tower: Tower, layers: Sequence[int]) -> Statistics:
    return Statistics({layer: torch.zeros(tower.key_width, tower.key_width, dtype=torch.float64) for layer in layers})


def _naming(captions: Sequence[str], names: Iterable[str]) -> list[str]:
    """Those of some texts that have one of the names in them."""
    known = "|".join(re.escape(normal(name)) for name in names)
    pattern = re.compile(rf"(?<!\w)(?:{known})(?!\w)")
    return [caption for caption in captions if pattern.search(normal(caption))] if known else []


def _name(tower: Tower, captions: Sequence[str], words: Sequence[str], layers: Sequence[int]) -> str:
    texts = [FORMAT, tower.digest, ",".join(map(str, layers)), *captions, "", *words]
    digest = hashlib.sha256("\n".join(texts).encode())
    return digest.hexdigest()[:32]


def _save(statistics: Statistics, path: Path) -> None:
    tensors = {str(layer): total for layer, total in statistics.sums.items()}
    header = {"format": FORMAT, "captions": str(statistics.captions), "tokens": repr(statistics.tokens)}
    keep(tensors, path, {**header, "distinct": str(statistics.distinct)})


def _load(path: Path, layers: Sequence[int], width: int) -> Statistics | None:
    def read(file: TensorFile) -> Statistics | None:
        header, sums = file.metadata(), {layer: file.get_tensor(str(layer)) for layer in layers}
        if header.get("format") != FORMAT or any(total.shape != (width, width) for total in sums.values()):
            return None
        return Statistics(sums, int(header["captions"]), float(header["tokens"]), int(header["distinct"]))

    return read_kept(path, read)
