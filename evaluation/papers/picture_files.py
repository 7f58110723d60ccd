"""The pictures of a run on disk: small ones for contact sheets, and all of them where they are to be kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ...editing.whole_file import whole_file
from ..joint import Draw, Shot

SMALL, WHOLE = "thumbnails", "pictures"
_SIDE = 160
UNEDITED = "unedited"


def slug(text: str) -> str:
    """A name as a file may have it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def file_name(shot: Shot) -> str:
    """A picture's name without its ending: that of its prompt, and its seed."""
    return f"{hashlib.sha256(shot.prompt.encode()).hexdigest()[:12]}-{shot.seed}"


def to_image(picture: torch.Tensor) -> Image.Image:
    """(3, height, width) from -1 to 1 as Pillow has it."""
    pixels = ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


class KeptPictures:
    """Draws, and writes what is drawn.

    Args:
        draw: draws.
        folder: of the run.
        whole: whether all pictures are kept, in ``pictures/``.

    ``place`` and ``shown`` say where the next pictures belong, and which of them contact sheets show.
    """

    def __init__(self, draw: Draw, folder: Path, whole: bool) -> None:
        self.draw, self.folder, self.whole = draw, folder, whole
        self.place, self.shown = UNEDITED, frozenset[Shot]()

    def into(self, place: str, shown: Collection[Shot]) -> None:
        """Where the next pictures belong."""
        self.place, self.shown = place, frozenset(shown)

    def __call__(self, pipe: Any, prompts: Sequence[str], seeds: Sequence[int]) -> torch.Tensor:
        """Pictures, (n, 3, height, width) from -1 to 1."""
        pictures = self.draw(pipe, prompts, seeds)
        for prompt, seed, picture in zip(prompts, seeds, pictures, strict=True):
            shot = Shot(prompt, seed)
            if self.whole:
                self._save(to_image(picture), self.folder / WHOLE / self.place / f"{file_name(shot)}.png")
            if shot in self.shown:
                small = to_image(picture)
                small.thumbnail((_SIDE, _SIDE))
                self._save(small, self.folder / SMALL / self.place / f"{file_name(shot)}.webp")
        return pictures

    @staticmethod
    def _save(image: Image.Image, path: Path) -> None:
        with whole_file(path) as file:
            image.save(file, format="PNG" if path.suffix == ".png" else "WEBP")
