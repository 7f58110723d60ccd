"""What the MLP output matrices read at a subject's last token, and the stream that comes of it."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .sentences import Sentences
from .tower import Tower

_AT_ONCE = 256


@torch.no_grad()
def keys_and_stream(
    tower: Tower, sentences: Sentences, layers: Iterable[int], last: int
) -> tuple[dict[int, torch.Tensor], torch.Tensor]:
    """At every sentence's subject.

    Args:
        tower: the encoder.
        sentences: of the concepts.
        layers: whose keys are asked for, none above ``last``.
        last: the layer whose output is the stream.

    Returns:
        Layer to keys (n, key width), and the stream (n, width); float64.
    """
    wanted = set(layers)
    keys: dict[int, list[torch.Tensor]] = {layer: [] for layer in wanted}
    streams = []
    for ids, subject in zip(sentences.ids.split(_AT_ONCE), sentences.subject.split(_AT_ONCE), strict=True):
        stream = tower.embed(ids.to(device_of(tower)))
        places = torch.arange(len(ids)), subject
        for layer in range(last + 1):
            stream, key = tower.attend(stream, layer)
            if layer in wanted:
                keys[layer].append(key[places].double().cpu())
            stream = stream + tower.answer(key, layer)
        streams.append(stream[places].double().cpu())
    return {layer: torch.cat(parts) for layer, parts in keys.items()}, torch.cat(streams)


def device_of(tower: Tower) -> torch.device:
    """Where the tower's weights are."""
    return tower.weights["embeddings.token_embedding.weight"].device
