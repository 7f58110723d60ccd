"""Concept edits (EMCID) on a diffusers pipeline of CLIP text encoders: SD 1.x, SD 2.x, SDXL, the pocket model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..editing.concepts.edit import ConceptEdit, find_concept_values, write_concept_values
from ..editing.concepts.encoder import TextEncoder
from ..editing.concepts.recipe import ConceptRecipe
from ..editing.concepts.statistics import Statistics, caption_statistics
from ..editing.concepts.tower import Tower, below_text_model, layers_of, weight_name
from ..editing.concepts.values import Search, Values, ValueSettings, find_values
from ..editing.errors import EditError
from ..editing.vocabulary import whole_words
from .encoder import PipelineEncoder
from .teachers import teachers

_WIDTHS = {768: "clip_l", 1024: "clip_h", 128: "clip_l"}


def text_encoders(pipe: Any) -> list[TextEncoder]:
    """The pipeline's text encoders, their weights copied, in float32. SDXL's are read before their last layer, as it does."""
    if getattr(pipe, "text_encoder_2", None) is not None:
        return [
            _text_encoder("clip_l", PipelineEncoder(pipe), before_last=True),
            _text_encoder("clip_g", PipelineEncoder(pipe, second=True), before_last=True),
        ]
    width = pipe.text_encoder.config.hidden_size
    if width not in _WIDTHS:
        raise EditError("This pipeline's text encoder is not known; load an SD 1.x, SD 2.x or SDXL pipeline.")
    return [_text_encoder(_WIDTHS[width], PipelineEncoder(pipe))]


def _text_encoder(name: str, encoder: PipelineEncoder, before_last: bool = False) -> TextEncoder:
    config, state = encoder.text.config, encoder.text.state_dict()
    # transformers' newer versions leave the prefix out.
    named = {key if "text_model." in key else f"text_model.{key}": tensor.clone() for key, tensor in state.items()}
    tower = Tower(
        below_text_model(named), config.num_attention_heads, config.hidden_act, config.num_hidden_layers - before_last,
        final_norm=not before_last, eps=config.layer_norm_eps,
    )  # fmt: skip
    return TextEncoder(name, tower, encoder.tokenize, whole_words(encoder.tokenizer.get_vocab()))


def statistics_of(
    recipe: ConceptRecipe,
    encoders: Sequence[TextEncoder],
    captions: Sequence[str],
    folder: Path | None = None,
    advance: Callable[[int], None] = lambda seen: None,
) -> dict[str, Statistics]:
    """Encoder to its statistics over captions and its own vocabulary, of the layers that a recipe edits; kept in ``folder``."""
    return {
        encoder.name: caption_statistics(
            encoder.tower,
            encoder.tokenize,
            captions,
            layers_of(encoder.tower, recipe.layers),
            folder,
            advance,
            [concept.source for concept in recipe.concepts],
            encoder.words,
        )
        for encoder in encoders
    }


def concept_values(
    pipe: Any,
    recipe: ConceptRecipe,
    encoders: Sequence[TextEncoder],
    settings: ValueSettings | None = None,
    pictures: Mapping[str, torch.Tensor] | None = None,
    folder: Path | None = None,
    advance: Callable[[int, int], None] = lambda done, all_of_them: None,
    seed: int = 0,
    search: Search = find_values,
) -> dict[str, Values]:
    """Stage one: encoder to its values. The arguments are those of :func:`edit_concepts`, and the pipeline's encoders."""
    settings = settings or ValueSettings.for_mode(recipe.mode)
    distill, teacher = teachers(pipe, recipe, encoders, pictures or {}, seed)
    return find_concept_values(recipe, encoders, settings, distill, teacher, folder and folder / "values", advance, search)


def edit_concepts(
    pipe: Any,
    recipe: ConceptRecipe,
    captions: Sequence[str],
    settings: ValueSettings | None = None,
    pictures: Mapping[str, torch.Tensor] | None = None,
    folder: Path | None = None,
    advance: Callable[[int, int], None] = lambda done, all_of_them: None,
    seed: int = 0,
    search: Search = find_values,
) -> ConceptEdit:
    """Both stages.

    Args:
        pipe: not changed.
        recipe: what is asked.
        captions: what is ordinary to its text encoders.
        settings: of the first stage; None chooses by the recipe's mode.
        pictures: for the mode "full", source of a concept to (n, 3, height, width) pictures of its destination, from -1 to 1;
            those that it lacks are drawn.
        folder: where statistics and values are kept.
        advance: told how many values are found, of how many; may raise to stop, and what was found by then is kept.
        seed: of the pictures and of the noise.
        search: finds values (:func:`.shared_values.shared_search` shares it out over processes).

    Raises:
        EditError: a concept cannot be found in its sentences, or the edit cannot be solved.
    """
    encoders = text_encoders(pipe)
    statistics = statistics_of(recipe, encoders, captions, folder and folder / "statistics")
    values = concept_values(pipe, recipe, encoders, settings, pictures, folder, advance, seed, search)
    return write_concept_values(recipe, encoders, statistics, values)


@contextmanager
def edited_text(pipe: Any, edit: ConceptEdit) -> Iterator[None]:
    """While it is open, the pipeline's text encoders have the edit; then their weights are what they were before.

    Raises:
        EditError: the edit is for other encoders.
    """
    edit.check_encoders(text_encoders(pipe))
    modules = {"clip_g": getattr(pipe, "text_encoder_2", None)}
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    try:
        with torch.no_grad():
            for encoder, layers in edit.changes.items():
                weights = dict((modules.get(encoder) or pipe.text_encoder).named_parameters())
                for layer, (up, down) in layers.items():
                    weight = next(entry for name, entry in weights.items() if name.endswith(weight_name(layer)))
                    kept.append((weight, weight.detach().clone()))
                    weight.copy_(weight.float() + (up @ down).to(weight.device))
        yield
    finally:
        with torch.no_grad():
            for weight, before in kept:
                weight.copy_(before)
