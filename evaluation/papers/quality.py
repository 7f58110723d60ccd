"""FID, CLIP score and LPIPS by torchmetrics, beside a user's own pictures: what edits do to the model as a whole.

The user's folder has a ``metadata.csv`` with the columns file_name and text, as the Hugging Face Hub has folders of pictures.
Every text is drawn once with each method, from the same noise. FID compares the drawn pictures with the user's (Heusel et al.
2017), CLIP score with their text (Hessel et al. 2021), LPIPS with those of the unedited model (Zhang et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...editing.errors import EditError
from ...pipelines.command_inputs import read_picture
from ...pipelines.pipeline_encoder import parts
from ..joint import Draw
from .rows import cell, read_rows

FID, CLIP_SCORE, LPIPS = "FID", "CLIP score", "LPIPS"
QUALITY = (FID, CLIP_SCORE, LPIPS)
TABLE = "metadata.csv"
_LEAST = 2
"""Pictures that FID's covariances need."""
_COMPARED = 1000
"""Of the first so many the unedited model's pictures stay in memory, for LPIPS."""


@dataclass(frozen=True)
class OwnPicture:
    """A picture of the user's and its text."""

    path: Path
    text: str


def own_pictures(folder: Path) -> list[OwnPicture]:
    """A folder's pictures by its ``metadata.csv``. Raises :class:`EditError` where one of them is missing."""
    table = folder / TABLE
    rows = read_rows(table, "pictures with their texts")
    if missing := {"file_name", "text"} - set(rows[0]):
        raise EditError(f"“{table}” has no column “{min(missing)}”; it needs file_name and text.")
    pictures = [
        OwnPicture(folder / cell(row, "file_name", number, table), cell(row, "text", number, table))
        for number, row in enumerate(rows, start=2)
    ]
    for picture in pictures:
        if not picture.path.is_file():
            raise EditError(f"There is no picture “{picture.path}”, which “{table}” names; take its row out.")
    if len(pictures) < _LEAST:
        raise EditError(f"“{table}” names one picture; FID needs two or more, and thousands to say something.")
    return pictures


def _bytes(path: Path) -> torch.Tensor:
    """(1, 3, height, width)."""
    return torch.from_numpy(np.asarray(read_picture(path)).copy()).permute(2, 0, 1)[None]


@dataclass(frozen=True)
class Metrics:
    """Makers of torchmetrics' metrics; None for one that is not taken.

    Args:
        fid: real pictures and drawn ones, bytes, by ``update(pictures, real=…)``.
        clip_score: drawn ones, bytes, and texts.
        lpips: drawn ones and the unedited model's, from -1 to 1.
    """

    fid: Callable[[], Any] | None
    clip_score: Callable[[], Any] | None
    lpips: Callable[[], Any] | None


def torchmetrics_metrics(clip: str, device: torch.device) -> Metrics:
    """The published ones: Inception's features, a CLIP model, AlexNet's.

    Args:
        clip: the CLIP model's folder or name.
        device: where they compute.

    Raises:
        EditError: they are not installed.
    """
    try:
        import torch_fidelity  # noqa: F401
        import torchvision  # noqa: F401
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    except ImportError as error:
        raise EditError(
            "FID, CLIP score and LPIPS are not installed; install them with: pip install edit-assumption[evaluate]"
        ) from error
    return Metrics(
        lambda: FrechetInceptionDistance().to(device),
        lambda: clip_score(clip).to(device),
        lambda: LearnedPerceptualImagePatchSimilarity(net_type="alex").to(device),
    )


class _ClipVectors(torch.nn.Module):
    """A CLIP model whose features are plain tensors, as torchmetrics takes them; those of transformers 5 are not."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    @property
    def device(self) -> torch.device:
        return torch.device(self.model.device)

    def get_image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(n, width)."""
        return _vectors(self.model.get_image_features(pixel_values=pixel_values))

    def get_text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(n, width)."""
        return _vectors(self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask))


def _vectors(answer: Any) -> torch.Tensor:
    vectors: torch.Tensor = answer if isinstance(answer, torch.Tensor) else answer.pooler_output
    return vectors


def clip_score(name: str) -> Any:
    """torchmetrics' CLIP score by any CLIP model of transformers. Raises :class:`EditError` where there is none."""
    from torchmetrics.multimodal.clip_score import CLIPScore
    from transformers import CLIPModel, CLIPProcessor

    try:
        model, processor = CLIPModel.from_pretrained(name), CLIPProcessor.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise EditError(f"The CLIP score needs CLIP, and “{name}” cannot be loaded as one; give one with --judge.") from error
    return CLIPScore(model_name_or_path=lambda: (_ClipVectors(model), processor))


class Quality:
    """Measures methods.

    Args:
        pictures: the user's.
        metrics: what is computed.
        draw: draws.
        at_once: pictures in a batch.
        advance: told how many pictures were drawn.
    """

    def __init__(
        self,
        pictures: Sequence[OwnPicture],
        metrics: Metrics,
        draw: Draw,
        at_once: int,
        advance: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.pictures, self.metrics, self.draw, self.at_once, self.advance = pictures, metrics, draw, at_once, advance
        self._unedited: dict[int, torch.Tensor] = {}

    def _drawn(self, pipe: Any) -> Iterator[tuple[Sequence[int], torch.Tensor]]:
        """Numbers of pictures, and what is drawn for their texts: (n, 3, height, width) from -1 to 1."""
        for numbers in parts(range(len(self.pictures)), self.at_once):
            yield numbers, self.draw(pipe, [self.pictures[number].text for number in numbers], list(numbers))
            self.advance(len(numbers))

    def look_before(self, pipe: Any) -> dict[str, float]:
        """Of the unedited pipeline, which it has to be now; its pictures are kept as bytes for :meth:`look`."""
        return self._measured(pipe, plain=True)

    def look(self, pipe: Any) -> dict[str, float]:
        """Of the pipeline as it is now."""
        return self._measured(pipe, plain=False)

    def _measured(self, pipe: Any, plain: bool) -> dict[str, float]:
        makers = {FID: self.metrics.fid, CLIP_SCORE: self.metrics.clip_score, LPIPS: None if plain else self.metrics.lpips}
        metrics = {name: make() for name, make in makers.items() if make is not None}
        if FID in metrics:
            for picture in self.pictures:
                metrics[FID].update(_bytes(picture.path).to(_device(metrics[FID])), real=True)
        for numbers, drawn in self._drawn(pipe):
            as_bytes = ((drawn.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
            if plain:
                self._unedited |= {number: one for number, one in zip(numbers, as_bytes, strict=True) if number < _COMPARED}
            if FID in metrics:
                metrics[FID].update(as_bytes.to(_device(metrics[FID])), real=False)
            if CLIP_SCORE in metrics:
                metrics[CLIP_SCORE].update(
                    as_bytes.to(_device(metrics[CLIP_SCORE])), [self.pictures[number].text for number in numbers]
                )
            if LPIPS in metrics and (compared := [number for number in numbers if number < _COMPARED]):
                before = torch.stack([self._unedited[number] for number in compared]).float() / 127.5 - 1
                after = drawn[: len(compared)]
                metrics[LPIPS].update(*(one.clamp(-1, 1).to(_device(metrics[LPIPS])) for one in (after, before)))
        return {name: float(metric.compute()) for name, metric in metrics.items()}


def _device(metric: Any) -> torch.device:
    return torch.device(metric.device)
