"""Concept edits on the text encoder for just as long as prompts are encoded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial, wraps
from typing import Any

import torch
from modules import shared

from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.concepts.concept_report import describe_concepts
from ..editing.concepts.hooks import AddedProduct
from ..editing.encoder_identity import RELATED_ENCODER, EncoderIdentity
from ..editing.errors import EditError
from .generation_request import GenerationRequest
from .remarks import Refusal, say, say_not_done
from .running_host import host, name_of
from .webui_encoder import WebuiEncoder


def edit_while_encoding(p: Any, asked: GenerationRequest) -> None:
    """Have ``p`` encode its prompts with the concept edits on that are asked for by then.

    What is wrong is raised from there, where it ends the generation with one sentence.
    """
    plain = type(p).get_conds_with_caching

    @wraps(plain)
    def edited(function: Callable[..., Any], required_prompts: Any, steps: int, caches: Any, *more: Any, **named: Any) -> Any:
        model = shared.sd_model
        try:
            edits = fitting(model, asked)
        except EditError as error:
            if model.sd_checkpoint_info != p.refiner_checkpoint_info:
                raise Refusal(error) from error
            say_not_done(p, f"not on the refiner. {error}")
            edits = []
        for edit in edits:
            say(p, partial(describe_concepts, edit))
        if not edits:
            return plain(p, function, required_prompts, steps, caches, *more, **named)
        with changed_text(model, edits):  # what the WebUI keeps of a prompt is neither read nor replaced
            return plain(p, function, required_prompts, steps, [[None, None, None]], *more, **named)

    p.get_conds_with_caching = edited


def fitting(model: Any, asked: GenerationRequest) -> list[ConceptEdit]:
    """The concept edits that are asked for now, each at its strength.

    Raises:
        EditError: one cannot be read, or is for other text encoders than the model's.
    """
    edits = asked.concept_edits()
    for name, edit in edits.items():
        if (name, name_of(model)) not in asked.fitting:
            if not _fits(model, edit):
                raise EditError(
                    f"The edit “{name}” changes another text encoder than this checkpoint's; load the checkpoint it was made "
                    "with, or make it again for this one."
                )
            asked.fitting.add((name, name_of(model)))
    return list(edits.values())


@contextmanager
def changed_text(model: Any, edits: Iterable[ConceptEdit]) -> Iterator[None]:
    """While it is open, every MLP output matrix W that an edit changes acts as W + up down, for each edit in turn.

    Forward hooks do it, so that LoRA and offloading go on as they are.
    """
    layers = host().text_layers(model)
    with ExitStack() as stack:
        for edit in edits:
            for encoder, changes in edit.changes.items():
                for layer, (up, down) in changes.items():
                    mlp = layers[encoder][layer].mlp
                    output = mlp.fc2 if hasattr(mlp, "fc2") else mlp.c_proj  # transformers' name, OpenCLIP's
                    stack.callback(output.register_forward_hook(AddedProduct(up, down)).remove)
        yield


def _fits(model: Any, edit: ConceptEdit) -> bool:
    layers = host().text_layers(model)
    if set(layers) != set(edit.encoders):
        return False
    for encoder, identity in edit.encoders.items():
        last = max(edit.changes[encoder])
        if last >= len(layers[encoder]) or not _distance(model, layers[encoder][last], identity) <= RELATED_ENCODER:
            return False
    return True


def _distance(model: Any, layer: torch.nn.Module, identity: EncoderIdentity) -> float:
    """How far the model's stream behind a layer is from an encoder's; infinite where the model does not run it."""
    streams: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, given: Any, output: Any) -> None:
        stream = output[0] if isinstance(output, tuple) else output
        streams.append(stream.detach().flatten(0, 1).float().cpu())  # of one prompt, whichever of its sides comes first

    handle = layer.register_forward_hook(keep)
    try:
        words = re.sub(r"([\\()\[\]])", r"\\\1", identity.prompt)  # no weights
        (said,) = WebuiEncoder(model)([words])
    finally:
        handle.remove()
    return identity.distance(lambda _: [replace(said, embeddings=torch.cat(streams))]) if streams else float("inf")
