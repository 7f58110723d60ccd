"""Which variants a picture draws: always the same for the same picture, each subject by itself, as often as its share says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from .chance_pair import ChancePair

_BYTES = 6  # more would not fit the 53 bits of a float, and could be rounded to 1


@dataclass(frozen=True)
class Picture:
    """Who draws.

    Args:
        seed: of its noise.
        index: which picture of that seed it is, from 0.
    """

    seed: int
    index: int = 0


def draw(chances: Sequence[ChancePair], pictures: Sequence[Picture], spread: bool = False) -> list[tuple[int, ...]]:
    """For each picture the number of its variant of every chance.

    Args:
        chances: what is drawn. Others beside it change nothing for a source.
        pictures: those of a batch.
        spread: draw so that the batch has shares within one picture of those wanted. What a picture draws depends on the
            others then; else it is the same alone and in any batch.
    """
    columns = []
    for chance in chances:
        numbers = [_number(picture, chance.source) for picture in pictures]
        columns.append([chance.draw(number) for number in (_spread(numbers) if spread else numbers)])
    return list(zip(*columns, strict=True)) if columns else [()] * len(pictures)


def described_draw(chances: Sequence[ChancePair], drawn: Sequence[int]) -> str:
    """What a picture has drawn, as people are told of it."""
    return ", ".join(chance.described_variant(own) for chance, own in zip(chances, drawn, strict=True))


def _number(picture: Picture, source: str) -> float:
    """Uniform from 0 to below 1."""
    said = f"{picture.seed}:{picture.index}:{source.lower()}"
    number = int.from_bytes(hashlib.sha256(said.encode()).digest()[:_BYTES], "big")
    return number / (1 << 8 * _BYTES)


def _spread(numbers: Sequence[float]) -> list[float]:
    """Evenly spaced numbers in the order of the given ones, begun at the fraction of their sum: systematic sampling."""
    begin = sum(numbers) % 1
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    spread = [0.0] * len(numbers)
    for place, which in enumerate(order):
        spread[which] = (place + begin) / len(numbers)
    return spread
