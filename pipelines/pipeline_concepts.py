"""Concept edits (EMCID) on a diffusers pipeline of CLIP text encoders: SD 1.x, SD 2.x, SDXL, the pocket model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from ..editing.concepts.concept_edit import ConceptEdit, ValueSearch, find_concept_values, make_concept_edit
from ..editing.concepts.concept_recipe import ConceptRecipe
from ..editing.concepts.hooks import AddedProduct
from ..editing.concepts.statistics import Statistics, caption_statistics
from ..editing.concepts.text_encoder import TextEncoder
from ..editing.concepts.tower import Tower, below_text_model, layers_of
from ..editing.concepts.values import Distill, Search, Values, ValueSettings, find_values
from ..editing.errors import EditError
from ..editing.families import FAMILIES
from ..editing.vocabulary import whole_words
from ..pocket.captions import captions_for
from .compiled import original, uncompiled
from .module_view import called_through, own_view, watched_calls
from .pipeline_encoder import PipelineEncoder, encode_prompts
from .pipeline_teachers import teachers
from .supported import check_text, execution_device
from .weights_in_use import weights_in_use

_MLP_OUTPUT = re.compile(r"(?:^|\.)encoder\.layers\.(\d+)\.mlp\.fc2$")
_TRIED, _SAME = "a photo of a house", 0.05
"""A prompt, and how far from the pipeline's own embeddings of it those of its weights may be, relatively; half precision is."""


def text_encoders(pipe: Any) -> list[TextEncoder]:
    """The pipeline's text encoders as they are now, adapters and open edits included, in float32.

    SDXL's are read before their last layer, as it does.

    Raises:
        EditError: they are not known, or do not compute what CLIP's do.
    """
    check_text(pipe)
    if getattr(pipe, "text_encoder_2", None) is not None:
        encoders = [
            _text_encoder("clip_l", PipelineEncoder(pipe), before_last=True),
            _text_encoder("clip_g", PipelineEncoder(pipe, second=True), before_last=True),
        ]
    else:
        width = pipe.text_encoder.config.hidden_size
        names = [family.encoders for family in FAMILIES if family.width == width and len(family.encoders) == 1]
        if not names:
            raise EditError("This pipeline's text encoder is not known; load an SD 1.x, SD 2.x or SDXL pipeline.")
        encoders = [_text_encoder(names[0][0], PipelineEncoder(pipe))]
    ours = torch.cat([encoder.encode([_TRIED])[0].embeddings for encoder in encoders], dim=1)
    (theirs,) = encode_prompts(pipe, [_TRIED])
    if theirs.shape != ours.shape or not float((theirs - ours).norm()) <= _SAME * float(theirs.norm()):
        raise EditError("This pipeline's text encoder does not compute what its weights say; take off whatever was put on it.")
    return encoders


def _text_encoder(name: str, encoder: PipelineEncoder, before_last: bool = False) -> TextEncoder:
    config, device = encoder.text.config, execution_device(encoder.pipe)
    # transformers' newer versions leave the prefix out.
    named = {key if "text_model." in key else f"text_model.{key}": own for key, own in weights_in_use(encoder.text).items()}
    tower = Tower(
        {key: weight.to(device) for key, weight in below_text_model(named).items()},
        config.num_attention_heads, config.hidden_act, config.num_hidden_layers - before_last,
        final_norm=not before_last, eps=config.layer_norm_eps,
    )  # fmt: skip
    for layer, output in _mlp_outputs(encoder.text).items():
        for hook in output._forward_hooks.values():
            if isinstance(hook, AddedProduct) and getattr(hook, "view", encoder.wrapped) is encoder.wrapped:
                tower = tower.changed(layer, hook.up, hook.down)
    return TextEncoder(name, tower, encoder.tokenize, whole_words(encoder.tokenizer.get_vocab()))


def _mlp_outputs(text: torch.nn.Module) -> dict[int, torch.nn.Module]:
    """Each layer's MLP output, by its number."""
    named = ((_MLP_OUTPUT.search(name), module) for name, module in text.named_modules())
    return {int(match[1]): module for match, module in named if match}


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
    asked = _stage_one(pipe, recipe, encoders, settings, pictures, folder, seed)
    return find_concept_values(recipe, encoders, ValueSearch(*asked, search), advance)


def _stage_one(
    pipe: Any,
    recipe: ConceptRecipe,
    encoders: Sequence[TextEncoder],
    settings: ValueSettings | None,
    pictures: Mapping[str, torch.Tensor] | None,
    folder: Path | None,
    seed: int,
) -> tuple[ValueSettings, Mapping[str, Distill] | None, str | Sequence[str], Path | None]:
    """What the search is given: its settings, teachers and their name, and where it keeps values."""
    settings = settings or ValueSettings.for_mode(recipe.mode)
    return settings, *teachers(pipe, recipe, encoders, pictures or {}, seed), folder and folder / "values"


def edit_concepts(
    pipe: Any,
    recipe: ConceptRecipe,
    captions: Sequence[str] | None = None,
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
        captions: what is ordinary to its text encoders; None for what is to encoders of their width.
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
    if captions is None:
        captions = captions_for(sum(encoder.tower.width for encoder in encoders))
    statistics = statistics_of(recipe, encoders, captions, folder and folder / "statistics")
    asked = _stage_one(pipe, recipe, encoders, settings, pictures, folder, seed)
    return make_concept_edit(recipe, encoders, statistics, ValueSearch(*asked, search), advance)


@contextmanager
def edited_text(pipe: Any, edit: ConceptEdit) -> Iterator[None]:
    """While it is open, the pipeline's text encoders have the edit, by hooks; nothing is written into them.

    A compiled text encoder runs uncompiled for so long. Of a related encoder, on which the edit is weaker, there is a warning.

    Raises:
        EditError: the edit is for other encoders, or does not reach these.
    """
    if remark := edit.check_encoders(text_encoders(pipe)):
        warnings.warn(f"The edit was {remark}.", stacklevel=3)
    device = execution_device(pipe)
    with ExitStack() as stack:
        layers = []
        for encoder, changes in edit.changes.items():
            second = encoder == "clip_g" and getattr(pipe, "text_encoder_2", None) is not None
            view = stack.enter_context(own_view(pipe, "text_encoder_2" if second else "text_encoder"))
            stack.enter_context(uncompiled(view))
            stack.enter_context(watched_calls(view))
            outputs = _mlp_outputs(original(view))
            for layer, (up, down) in changes.items():
                hook = _OwnProduct(view, up.to(device), down.to(device))
                stack.callback(outputs[layer].register_forward_hook(hook).remove)
                layers.append(outputs[layer])
        _check_called(pipe, layers)
        yield


class _OwnProduct(AddedProduct):
    """The same in calls of one view alone (:mod:`.module_view`)."""

    def __init__(self, view: torch.nn.Module, up: torch.Tensor, down: torch.Tensor) -> None:
        super().__init__(up, down)
        self.view = view

    def __call__(self, *call: Any) -> Any:
        return super().__call__(*call) if called_through(self.view) else None


def _check_called(pipe: Any, layers: Sequence[torch.nn.Module]) -> None:
    """Encode a prompt. Raises :class:`EditError` where hooks of one of the layers are not called."""
    called = set()
    handles = [layer.register_forward_hook(lambda layer, *_: called.add(layer)) for layer in layers]
    try:
        encode_prompts(pipe, [_TRIED])
    finally:
        for handle in handles:
            handle.remove()
    if not called.issuperset(layers):
        raise EditError("The edit does not reach this pipeline's text encoder; load the text encoder anew.")
