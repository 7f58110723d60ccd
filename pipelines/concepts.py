"""Concept edits (EMCID) on a diffusers pipeline of one CLIP text encoder: SD 1.x, SD 2.x, the pocket model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from ..editing.concepts.concepts import TEMPLATES, Concept
from ..editing.concepts.sentences import sentences_of
from ..editing.concepts.statistics import caption_statistics
from ..editing.concepts.tower import Tower, below_text_model, default_layers, weight_name
from ..editing.concepts.update import write_shifts
from ..editing.concepts.values import ValueSettings, find_values
from .encoder import PipelineEncoder

DEFAULT_REGULARIZATION = 30.0


def tower_of(pipe: StableDiffusionPipeline) -> Tower:
    """The pipeline's text encoder, its weights copied, in float32."""
    config = pipe.text_encoder.config
    state = pipe.text_encoder.state_dict()
    # transformers' newer versions leave the prefix out.
    named = {name if "text_model." in name else f"text_model.{name}": tensor.clone() for name, tensor in state.items()}
    return Tower(
        below_text_model(named), config.num_attention_heads, config.hidden_act, config.num_hidden_layers,
        eps=config.layer_norm_eps,
    )  # fmt: skip


def edit_concepts(
    pipe: StableDiffusionPipeline,
    concepts: Sequence[Concept],
    captions: Sequence[str],
    layers: Sequence[int] = (),
    regularization: float = DEFAULT_REGULARIZATION,
    settings: ValueSettings = ValueSettings(),  # noqa: B008 - frozen
    templates: Sequence[str] = TEMPLATES,
    folder: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Tower:
    """Both stages, by the text alone.

    Args:
        pipe: not changed.
        concepts: what is asked.
        captions: what is ordinary to its text encoder.
        layers: to edit, rising; empty for the paper's.
        regularization: as many tokens of captions weigh as much as a concept.
        settings: of the first stage.
        templates: sentences, with ``{}`` for the concept.
        folder: where statistics are kept.
        advance: called now and then; may raise to stop.

    Returns:
        The text encoder with its changes, for :func:`edited_text`.

    Raises:
        EditError: a concept cannot be found in its sentences, or the edit cannot be solved.
    """
    tower, tokenize = tower_of(pipe), PipelineEncoder(pipe).tokenize
    layers = tuple(layers) or default_layers(tower.depth)
    sentences = sentences_of(concepts, tokenize, templates)
    moments = caption_statistics(tower, tokenize, captions, layers, folder, lambda seen: advance()).moments()
    found = find_values(tower, sentences, layers[-1], settings, advance=lambda done, shifts: advance())
    return write_shifts(tower, sentences, found.shifts, moments, regularization, layers, advance)


@contextmanager
def edited_text(pipe: StableDiffusionPipeline, tower: Tower) -> Iterator[None]:
    """While it is open, the pipeline's text encoder has the tower's changes; then its weights are what they were before."""
    weights = dict(pipe.text_encoder.named_parameters())
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    try:
        with torch.no_grad():
            for layer, (up, down) in tower.changes.items():
                weight = next(entry for name, entry in weights.items() if name.endswith(weight_name(layer)))
                kept.append((weight, weight.detach().clone()))
                weight.copy_(weight.float() + (up @ down).to(weight.device))
        yield
    finally:
        with torch.no_grad():
            for weight, before in kept:
                weight.copy_(before)
