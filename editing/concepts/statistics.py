"""What the MLP output matrices read in ordinary captions: the uncentred second moment of each edited layer's keys."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import EditError
from ..kept_file import keep, read_kept
from ..tensor_file import TensorFile
from .keys import device_of
from .sentences import Tokenize, Tokens
from .subjects import normal
from .tower import Tower

FORMAT = "edit_assumption_statistics_3"
_AT_ONCE = 64
_SAVED_EVERY = 16
_SHRINKAGE = 0.001
_PADDING_STEP = 10


@dataclass
class Statistics:
    """Sums over the captions seen so far.

    Args:
        sums: layer to the weighted sum of k k^T, (key width, key width), float64.
        captions: how many captions were seen.
        tokens: the weight of their tokens that were read.
    """

    sums: dict[int, torch.Tensor]
    captions: int = 0
    tokens: float = 0.0

    def moments(self) -> dict[int, torch.Tensor]:
        """Layer to S = E[k k^T], drawn a little towards the identity so that it has an inverse.

        Raises:
            EditError: there were no captions.
        """
        if not self.tokens:
            raise EditError("The statistics are of no caption; compute them from some.")
        found = {}
        for layer, total in self.sums.items():
            moment = total / self.tokens
            identity = torch.eye(len(moment), dtype=torch.float64) * (moment.trace() / len(moment))
            found[layer] = torch.lerp(moment, identity, _SHRINKAGE)
        return found

    def without(self, part: Statistics) -> Statistics:
        """Of the captions that are not in a part of them."""
        sums = {layer: total - part.sums[layer] for layer, total in self.sums.items()}
        return Statistics(sums, self.captions - part.captions, self.tokens - part.tokens)


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
    """Count some captions in."""
    ids = torch.tensor([entry.ids for entry in tokens], device=device_of(tower))
    seen = torch.stack([_read(entry) for entry in tokens]).to(ids.device)
    words = [[weights.words[token] for token in entry.ids[: entry.words.stop]] for entry in tokens]
    weight = torch.tensor([own + [weights.end] * (ids.shape[1] - len(own)) for own in words], device=ids.device)[seen]
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
) -> Statistics:
    """The statistics over captions, continued from the folder where an earlier run was stopped.

    Args:
        tower: the encoder.
        tokenize: its tokenizer.
        captions: what is ordinary to it.
        layers: that are to be edited.
        folder: where they are kept, under the hash of the encoder's weights, the layers and the captions; None keeps nothing.
        advance: told how many captions were seen so far; may raise to stop.
        edited: names that are to change; captions with one of them hold nothing in place, unless there are no others.

    Raises:
        EditError: there is no caption, or an activation is not finite.
    """
    if not captions:
        raise EditError("There is no caption to compute the statistics from; give a file with one on each line.")
    path = folder and folder / f"{_name(tower, captions, layers)}.safetensors"
    found = (path and _load(path, layers, tower.key_width)) or _nothing(tower, layers)
    naming = _naming(captions, edited)
    if found.captions < len(captions) or naming:
        weights = caption_weights(entry for part in _batches(captions) for entry in tokenize(part))
    while found.captions < len(captions):
        advance(found.captions)
        add_captions(found, tower, tokenize(captions[found.captions : found.captions + _AT_ONCE]), weights)
        if path and (found.captions >= len(captions) or found.captions // _AT_ONCE % _SAVED_EVERY == 0):
            _save(found, path)
    advance(found.captions)
    if not all(total.isfinite().all() for total in found.sums.values()):
        raise EditError("The text encoder gave numbers that are not finite; load it in another precision.")
    if naming and len(naming) < len(captions):
        left_out = _nothing(tower, layers)
        for part in _batches(naming):
            add_captions(left_out, tower, tokenize(part), weights)
        found = found.without(left_out)
    return found


def _nothing(tower: Tower, layers: Sequence[int]) -> Statistics:
    return Statistics({layer: torch.zeros(tower.key_width, tower.key_width, dtype=torch.float64) for layer in layers})


def _batches(captions: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(captions), _AT_ONCE):
        yield captions[start : start + _AT_ONCE]


def _naming(captions: Sequence[str], names: Iterable[str]) -> list[str]:
    """Those that have one of the names in them."""
    known = "|".join(re.escape(normal(name)) for name in names)
    pattern = re.compile(rf"(?<!\w)(?:{known})(?!\w)")
    return [caption for caption in captions if pattern.search(normal(caption))] if known else []


def _name(tower: Tower, captions: Sequence[str], layers: Sequence[int]) -> str:
    digest = hashlib.sha256("\n".join([FORMAT, tower.digest, ",".join(map(str, layers)), *captions]).encode())
    return digest.hexdigest()[:32]


def _save(statistics: Statistics, path: Path) -> None:
    tensors = {str(layer): total for layer, total in statistics.sums.items()}
    header = {"format": FORMAT, "captions": str(statistics.captions), "tokens": repr(statistics.tokens)}
    keep(tensors, path, header)


def _load(path: Path, layers: Sequence[int], width: int) -> Statistics | None:
    def read(file: TensorFile) -> Statistics | None:
        header, sums = file.metadata(), {layer: file.get_tensor(str(layer)) for layer in layers}
        if header.get("format") != FORMAT or any(total.shape != (width, width) for total in sums.values()):
            return None
        return Statistics(sums, int(header["captions"]), float(header["tokens"]))

    return read_kept(path, read)
