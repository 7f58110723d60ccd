"""The closed forms that an edit is measured beside: diffusers' own code for TIME, and our reading of UCE's loop.

EMCID's second stage is in :func:`..concepts_reference.write`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch

from ...editing.encoding import EncodedPrompt

LAMBDA_TIME, LAMBDA_UCE = 0.1, 0.5
"""What diffusers' class and UCE's script take where nothing is said."""


class NoPeerError(RuntimeError):
    """A method that is not there; the message says why."""


def published_class() -> Any:
    """diffusers' pipeline for TIME.

    Raises:
        NoPeerError: this diffusers has it no more.
    """
    try:
        from diffusers import StableDiffusionModelEditingPipeline
    except ImportError as reason:
        raise NoPeerError("this diffusers has no StableDiffusionModelEditingPipeline") from reason
    return StableDiffusionModelEditingPipeline


class _Tokenizer:
    """What the class asks of its tokenizer, of prompts that are known: a number for each word, or one for each prompt."""

    model_max_length = 77

    def __init__(self, encoded: Mapping[str, EncodedPrompt]) -> None:
        self.prompts = {text: number for number, text in enumerate(encoded)}
        words = [word for text in encoded for word in text.split()]
        self.words = list(dict.fromkeys(["<start>", "<end>", "a", *words]))
        self.numbers = {word: number for number, word in enumerate(self.words)}

    def __call__(self, text: str | Sequence[str], **told: Any) -> SimpleNamespace:
        if isinstance(text, str):
            return SimpleNamespace(input_ids=self.encode(text))
        return SimpleNamespace(input_ids=torch.tensor([self.prompts[each] for each in text]))

    def encode(self, text: str) -> list[int]:
        return [0, *(self.numbers[word] for word in text.split()), 1]

    def decode(self, token: int) -> str:
        return self.words[token]


def time_by_diffusers(
    weights: Sequence[torch.Tensor], pairs: Sequence[tuple[str, str]], encoded: Mapping[str, EncodedPrompt]
) -> list[torch.Tensor]:
    """TIME by the ``edit_model`` of diffusers' class, which takes one pair after the other.

    The class looks for layers called ``CrossAttention``, a name that diffusers has given up, and edits none. It is handed the
    projections here. Its other parts are left out: prompts are looked up, not encoded.

    Args:
        weights: (out, width) each, which stay as they are.
        pairs: source and destination, which has the source's words and more.
        encoded: each of their prompts, 77 rows.

    Returns:
        The edited weights.
    """
    rows = [prompt.embeddings for prompt in encoded.values()]
    layers = []
    for weight in weights:
        layer = torch.nn.Linear(1, 1, bias=False, device="meta")
        layer.weight = torch.nn.Parameter(weight)
        layers.append(layer)
    holder = SimpleNamespace(
        projection_matrices=layers, with_augs=[], device=weights[0].device, tokenizer=_Tokenizer(encoded),
        text_encoder=lambda numbers: (torch.stack([rows[number] for number in numbers.tolist()]),),
    )  # fmt: skip
    edit_model = published_class().edit_model
    for source, destination in pairs:
        edit_model(holder, source, destination, lamb=LAMBDA_TIME, restart_params=False)
    return [layer.weight.detach() for layer in layers]


def uce_by_modules(weights: Sequence[torch.Tensor], source: torch.Tensor, destination: torch.Tensor) -> list[torch.Tensor]:
    """UCE as released (github.com/rohitgandikota/unified-concept-editing), our reading: module by module, concept by concept.

    Two copies of the projections are made, the destinations go through every one, each concept adds an outer product to either
    sum, and each projection has an inverse of its own. No concept is preserved.

    Args:
        weights: (out, width) each, which stay as they are.
        source, destination: (concepts, width), the last word's row of each prompt.

    Returns:
        The edited weights.
    """
    before, edited = (copy.deepcopy(list(weights)) for _ in range(2))
    answers = [[row[None] @ weight.T for weight in before] for row in destination]
    for place, weight in enumerate(before):
        left = LAMBDA_UCE * weight
        right = LAMBDA_UCE * torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
        for row, answer in zip(source, answers, strict=True):
            left += answer[place].T @ row[None]
            right += row[:, None] @ row[None]
        edited[place] = left @ torch.inverse(right)
    return edited
