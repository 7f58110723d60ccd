"""Edits by chance on a pipeline: pictures are known by their noise, and each row of the text is mapped as its picture drew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

from ..editing.assumptions.chance_draw import Picture, described_draw, draw
from ..editing.assumptions.chance_map import ChanceMapOn
from ..editing.assumptions.edit import Edit
from ..editing.errors import EditError

_METHOD = "prepare_latents"
_SIGNS = 256
"""How many signs of a noise stand for it: the same on every device and in every precision."""


class StartedPictures:
    """The pictures that a pipeline is drawing: who each of them is."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []

    def begin(self, latents: torch.Tensor) -> None:
        """Take note of what they start from, (pictures, …)."""
        signs = (latents.detach().reshape(len(latents), -1)[:, :_SIGNS].to("cpu", torch.float32) > 0).to(torch.uint8)
        self.pictures = [Picture(_number(row)) for row in signs]


def _number(signs: torch.Tensor) -> int:
    return int.from_bytes(hashlib.sha256(bytes(signs.tolist())).digest()[:8], "big")


@contextmanager
def started_pictures(pipe: Any) -> Iterator[StartedPictures]:
    """While it is open, what a pipeline starts its pictures from is taken note of.

    Args:
        pipe: a diffusers pipeline.

    Raises:
        EditError: it does not say what it starts from.
    """
    if not hasattr(pipe, _METHOD):
        raise EditError(f"This pipeline has no “{_METHOD}”, so nothing can be drawn by chance; write one destination instead.")
    started, method = StartedPictures(), getattr(pipe, _METHOD)

    @wraps(method)
    def prepare_latents(*args: Any, **kwargs: Any) -> Any:
        answer = method(*args, **kwargs)
        started.begin(answer[0] if isinstance(answer, tuple) else answer)
        return answer

    setattr(pipe, _METHOD, prepare_latents)
    try:
        yield started
    finally:
        if vars(pipe).get(_METHOD) is prepare_latents:
            delattr(pipe, _METHOD)
            if getattr(pipe, _METHOD) != method:  # somebody else's stood there
                setattr(pipe, _METHOD, method)


class DrawnText:
    """The text of a batch, each row mapped as its picture has drawn. Stands for a map where texts are mapped.

    Args:
        edit: with its maps.
        started: the pictures.
    """

    def __init__(self, edit: Edit, started: StartedPictures) -> None:
        if edit.chance is None:
            raise ValueError("the edit draws nothing")
        self.recipe, self._started = edit.recipe, started
        self._maps = ChanceMapOn(edit.chance)

    def drawn(self) -> list[tuple[int, ...]]:
        """What each picture has drawn."""
        return draw(self.recipe.drawn, self._started.pictures, self.recipe.spread)

    def described(self) -> list[str]:
        """The same, as people are told of it."""
        return [described_draw(self.recipe.drawn, own) for own in self.drawn()]

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, tokens, width): the negative prompts of all pictures, if there are any, then their prompts.

        Raises:
            EditError: it is not known which row is of which picture.
        """
        drawn = self.drawn()
        times, rest = divmod(len(rows), max(1, len(drawn)))
        if not drawn or rest or rows.ndim != 3 or (times > 2 and not self.recipe.negative):
            raise EditError(
                "It is not known which row of the text is of which picture, so nothing is drawn by chance; call the pipeline "
                "as a whole, or write one destination in place of the variants."
            )
        asked: Sequence[tuple[int, ...] | None] = drawn * times
        if times == 2 and not self.recipe.negative:
            asked = [*[None] * len(drawn), *drawn]
        return self._maps.apply(rows, asked)
