"""What the MLP output matrices read at a subject's last token, and the stream that comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .tower import Tower

_AT_ONCE = 256


@dataclass(frozen=True)
class Places:
    """A token in each of some sentences.

    Args:
        ids: (n, tokens) of the sentences.
        subject: (n,) the token's place.
    """

    ids: torch.Tensor
    subject: torch.Tensor

    def and_those(self, others: Places) -> Places:
        """These, and others behind them."""
        return Places(torch.cat([self.ids, others.ids]), torch.cat([self.subject, others.subject]))


class SubjectStreams:
    """Every sentence's stream up to its subject, kept before one layer, so that what stands below it is run once.

    What stands behind the subject never reaches it, since attention looks back alone; so it is left out. Sentences are run
    sorted by where their subject stands, for those of a batch to be about as long.

    Args:
        tower: the encoder.
        sentences: with the subjects' places.
    """

    @torch.no_grad()
    def __init__(self, tower: Tower, sentences: Places) -> None:
        self.layer = 0
        order = sentences.subject.argsort(stable=True)
        self._place = order.argsort()  # where each sentence is found
        self._subjects = [part.to(device_of(tower)) for part in sentences.subject[order].split(_AT_ONCE)]
        self._parts = [
            tower.embed(ids[:, : int(subject.max()) + 1].to(device_of(tower)))
            for ids, subject in zip(sentences.ids[order].split(_AT_ONCE), self._subjects, strict=True)
        ]

    @torch.no_grad()
    def keys_and_stream(self, tower: Tower, layer: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
        """At every sentence's subject.

        Args:
            tower: the encoder; below ``layer`` it may have changed since the last call in what was not run yet, from the layer
                of that call on.
            layer: whose keys are asked for; not below that of the last call.
            last: the layer whose output is the stream, not below ``layer``.

        Returns:
            Keys (n, key width), and the stream (n, width); float64.
        """
        self._parts = [tower.run(part, self.layer, layer) for part in self._parts]
        self.layer = layer
        read = [_read(tower, part, subject, layer, last) for part, subject in zip(self._parts, self._subjects, strict=True)]
        keys, stream = (torch.cat(parts)[self._place].double() for parts in zip(*read, strict=True))
        return keys, stream


def _read(
    tower: Tower, stream: torch.Tensor, subject: torch.Tensor, layer: int, last: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """From the stream before ``layer``: the subjects' keys there, and their stream after ``last``."""
    rows, place = subject[:, None], torch.arange(len(stream))
    if layer == last:
        kept, key = tower.attend(stream, layer, rows)
        return key[:, 0].cpu(), (kept + tower.answer(key, layer))[:, 0].cpu()
    kept, key = tower.attend(stream, layer)
    stream = tower.run(kept + tower.answer(key, layer), layer + 1, last)
    kept, final = tower.attend(stream, last, rows)
    return key[place, subject].cpu(), (kept + tower.answer(final, last))[:, 0].cpu()


def device_of(tower: Tower) -> torch.device:
    """Where the tower's weights are."""
    return tower.weights["embeddings.token_embedding.weight"].device
