"""The judge: a small classifier that says which thing a picture shows, and with which attribute values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from ..editing.errors import EditError
from ..editing.tensor_file import load_tensors
from ..editing.whole_file import save_whole
from . import WEIGHTS
from .reading import named_in, shown_among
from .scenes import SIDE, Scene
from .words import ALL, ATTRIBUTES

_FILE = "judge.safetensors"
QUESTIONS: dict[str, tuple[str, ...]] = {"thing": tuple(ALL), **ATTRIBUTES}
"""What it is asked, and the possible answers."""


class _Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class SceneClassifier(nn.Module):
    """(n, 3, SIDE, SIDE) from -1 to 1 to the logits of every question."""

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 48, 64, 96)
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in zip((24, *widths), widths, strict=False)))
        features = widths[-1] * (SIDE // 2 ** len(widths)) ** 2
        self.hidden = nn.Sequential(nn.Linear(features, 128), nn.ReLU(inplace=True))
        self.heads = nn.ModuleDict({question: nn.Linear(128, len(answers)) for question, answers in QUESTIONS.items()})

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits for each question, (n, answers)."""
        hidden = self.hidden(self.blocks(self.stem(images)).flatten(1))
        return {question: head(hidden) for question, head in self.heads.items()}

    @torch.inference_mode()
    def answers(self, images: torch.Tensor) -> list[dict[str, str]]:
        """For each picture, question to answer; "hat" says something only of roles."""
        chosen = {question: logits.argmax(dim=1).tolist() for question, logits in self(images).items()}
        return [
            {question: QUESTIONS[question][numbers[row]] for question, numbers in chosen.items()} for row in range(len(images))
        ]

    @torch.inference_mode()
    def certainty(self, images: torch.Tensor, question: str) -> torch.Tensor:
        """The probability, from 0 to 1, that it gives to its own answer: (n,)."""
        return self(images)[question].softmax(dim=1).amax(dim=1)


def shown_prompts(judge: SceneClassifier, images: torch.Tensor, prompts: Sequence[str]) -> list[int | None]:
    """Which of several prompts each picture shows, by its number, or None.

    Args:
        judge: the trained judge.
        images: (n, 3, SIDE, SIDE) from -1 to 1.
        prompts: each names a thing, or an attribute of one.

    Raises:
        EditError: a prompt names nothing that the pocket model draws.
    """
    for prompt in prompts:
        if not named_in(prompt):
            raise EditError(f"“{prompt}” names nothing that the pocket model draws; name a thing of its, or a colour.")
    return [shown_among(answer, prompts) for answer in judge.answers(images)]


def truth(scene: Scene) -> Mapping[str, str]:
    """The right answers for a drawing."""
    return {"thing": scene.thing, **scene.values}


def targets(scenes: Sequence[Scene]) -> dict[str, torch.Tensor]:
    """Question to the number of the right answer, -100 where there is none."""
    right = [truth(scene) for scene in scenes]
    return {
        question: torch.tensor([options.index(answer[question]) if question in answer else -100 for answer in right])
        for question, options in QUESTIONS.items()
    }


def save_judge(judge: SceneClassifier, folder: Path = WEIGHTS) -> None:
    """In half precision."""
    tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in judge.state_dict().items()}
    save_whole(tensors, folder / _FILE, {})


def load_judge(folder: Path = WEIGHTS) -> SceneClassifier:
    """The trained judge."""
    judge = SceneClassifier()
    judge.load_state_dict(load_tensors(folder / _FILE))
    return judge.float().eval()
