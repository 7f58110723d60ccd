"""What the MLP output matrices read in ordinary captions: the uncentred second moment of each edited layer's keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ..edit_file import save_whole
from ..errors import EditError
from .keys import device_of
from .sentences import Tokenize, Tokens
from .tower import Tower, digest_of

FORMAT = "edit_assumption_statistics"
_AT_ONCE = 64
_SAVED_EVERY = 16
_SHRINKAGE = 0.01
_PADDING_COUNTS = 3.0


@dataclass
class Statistics:
    """Sums over the captions seen so far.

    Args:
        sums: layer to the sum of k k^T, (key width, key width), float64.
        captions: how many captions were seen.
        tokens: how many tokens they had, by weight.
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


@torch.no_grad()
def add_captions(statistics: Statistics, tower: Tower, tokens: Sequence[Tokens]) -> None:
    """Count some captions in, the whole window of each: the diffusion model reads the padding, too.

    All of a caption's padding, which says nearly the same many times over, counts as much as a few tokens.
    """
    ids = torch.tensor([entry.ids for entry in tokens], device=device_of(tower))
    weight = torch.ones(ids.shape, dtype=torch.float64)
    for row, entry in zip(weight, tokens, strict=True):
        padding = row[entry.words.stop + 1 :]
        padding[:] = min(1.0, _PADDING_COUNTS / max(1, len(padding)))
    stream = tower.embed(ids)
    for layer in range(max(statistics.sums) + 1):
        stream, key = tower.attend(stream, layer)
        if layer in statistics.sums:
            rows = key.double().cpu() * weight.sqrt()[..., None]
            statistics.sums[layer] += rows.flatten(0, 1).T @ rows.flatten(0, 1)
        stream = stream + tower.answer(key, layer)
    statistics.captions += len(tokens)
    statistics.tokens += float(weight.sum())


def caption_statistics(
    tower: Tower,
    tokenize: Tokenize,
    captions: Sequence[str],
    layers: Sequence[int],
    folder: Path | None = None,
    advance: Callable[[int], None] = lambda seen: None,
) -> Statistics:
    """The statistics over captions, continued from the folder where an earlier run was stopped.

    Args:
        tower: the encoder.
        tokenize: its tokenizer.
        captions: what is ordinary to it.
        layers: that are to be edited.
        folder: where they are kept, under the hash of the encoder's weights, the layers and the captions; None keeps nothing.
        advance: told how many captions were seen so far; may raise to stop.

    Raises:
        EditError: there is no caption, or an activation is not finite.
    """
    if not captions:
        raise EditError("There is no caption to compute the statistics from; give a file with one on each line.")
    path = folder and folder / f"{_name(tower, captions, layers)}.safetensors"
    found = (path and _load(path, layers, tower.key_width)) or Statistics(
        {layer: torch.zeros(tower.key_width, tower.key_width, dtype=torch.float64) for layer in layers}
    )
    while found.captions < len(captions):
        advance(found.captions)
        add_captions(found, tower, tokenize(captions[found.captions : found.captions + _AT_ONCE]))
        if path and (found.captions >= len(captions) or found.captions // _AT_ONCE % _SAVED_EVERY == 0):
            _save(found, path)
    advance(found.captions)
    if not all(total.isfinite().all() for total in found.sums.values()):
        raise EditError("The text encoder gave numbers that are not finite; load it in another precision.")
    return found


def _name(tower: Tower, captions: Sequence[str], layers: Sequence[int]) -> str:
    digest = hashlib.sha256("\n".join([digest_of(tower), ",".join(map(str, layers)), *captions]).encode())
    return digest.hexdigest()[:32]


def _save(statistics: Statistics, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {str(layer): total.contiguous() for layer, total in statistics.sums.items()}
    header = {"format": FORMAT, "captions": str(statistics.captions), "tokens": repr(statistics.tokens)}
    save_whole(tensors, path, header)


def _load(path: Path, layers: Sequence[int], width: int) -> Statistics | None:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            sums = {layer: file.get_tensor(str(layer)) for layer in layers}
        if header.get("format") != FORMAT or any(total.shape != (width, width) for total in sums.values()):
            return None
        return Statistics(sums, int(header["captions"]), float(header["tokens"]))
    except (SafetensorError, OSError, KeyError, ValueError):
        return None  # there is none yet, or a damaged one, which is as good as none
