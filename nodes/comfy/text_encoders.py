"""A ComfyUI CLIP as concept edits see it: its text encoders in plain torch, and a clone with an edit on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import comfy.lora
import comfy.model_management
import torch
from comfy.weight_adapter import LoRAAdapter

from ...editing.carried_edits import CarriedEdit
from ...editing.concepts.concept_edit import ConceptEdit
from ...editing.concepts.sentences import Tokens
from ...editing.concepts.text_encoder import NAMES, TextEncoder
from ...editing.concepts.tower import ACTIVATIONS, Tower, weight_name
from ...editing.errors import EditError
from .clip_encoder import tokenizer_of, words_of
from .stored_weights import shapes_of, stored_weight

_OURS = "text_model."
_ATTACHMENT = "edit_assumption"
_UNKNOWN = (
    "This CLIP has a text encoder that concepts cannot be edited in; connect the CLIP of an SD 1.x, SD 2.x or SDXL model."
)
_SAME = 0.02
_TRIED = "a photo of a house"


def text_encoders(clip: Any) -> list[TextEncoder]:
    """The CLIP's text encoders with the patches that are on it, in float32, read as deep as it is (CLIP skip).

    Raises:
        EditError: there is none, or one that is not shaped like CLIP's.
    """
    if clip is None:
        raise EditError("There is no CLIP; choose a checkpoint that contains a text encoder, or connect a CLIP Loader.")
    model = clip.cond_stage_model
    names = [name for name in NAMES if getattr(model, name, None) is not None]
    if not names or any(part not in names for part, _ in model.named_children()):
        raise EditError(_UNKNOWN)
    with torch.inference_mode(False):  # so that they can be differentiated
        encoders = [
            TextEncoder(name, _tower(clip, name), _tokenizer(clip, name), words_of(tokenizer_of(clip, name))) for name in names
        ]
        _check(clip, encoders)
    return encoders


def _tower(clip: Any, name: str) -> Tower:
    part, device = getattr(clip.cond_stage_model, name), clip.patcher.load_device
    text, prefix = part.transformer.text_model, f"{name}.transformer.{_OURS}"
    count = len(text.encoder.layers)
    layer = clip.layer_idx if clip.layer_idx is not None else part.options_default[1]
    whole = layer is None or abs(layer) > count
    comfy.model_management.free_memory(4 * sum(weight.numel() for weight in text.parameters()), device)
    weights = {key.removeprefix(prefix): _patched(clip.patcher, key, device) for key in shapes_of(clip.patcher, prefix)}
    return Tower(
        weights, text.encoder.layers[0].self_attn.heads, _activation(text.encoder.layers[0].mlp.activation),
        count if whole else layer + 1 + (count if layer < 0 else 0), whole or part.layer_norm_hidden_state,
    )  # fmt: skip


def _patched(patcher: Any, key: str, device: torch.device) -> torch.Tensor:
    stored = stored_weight(patcher, key)
    if stored.packed:
        raise EditError("This CLIP's weights are packed (GGUF or alike) and cannot be read; load it unquantised.")
    weight, patches = stored.rows(device), patcher.patches.get(key)
    return comfy.lora.calculate_weight(patches, weight, key).detach() if patches else weight


def _activation(function: Any) -> str:
    """By what it does, since hosts give it no name."""
    tried = torch.linspace(-3, 3, 13)
    for name, known in ACTIVATIONS.items():
        if torch.allclose(function(tried), known(tried), atol=1e-5):
            return name
    raise EditError(_UNKNOWN)


def _tokenizer(clip: Any, name: str) -> Any:
    short, tokenizer = name.removeprefix("clip_"), tokenizer_of(clip, name)

    def tokenize(prompts: Sequence[str]) -> list[Tokens]:
        tokenized = []
        for prompt in prompts:
            chunk, *more = clip.tokenize(prompt, return_word_ids=True)[short]
            if any(not isinstance(token, int) for part in (chunk, *more) for token, _, _ in part):
                raise EditError(f"“{prompt}” has a textual inversion in it; concepts are written in words.")
            words = [place for place, (_, _, word) in enumerate(chunk) if word > 0]
            pieces = tuple(tokenizer.inv_vocab.get(token, str(token)) for token, _, _ in chunk)
            span = range(words[0], words[-1] + 1) if words else range(1, 1)
            cut = "".join(tokenizer.inv_vocab.get(token, str(token)) for part in more for token, _, word in part if word > 0)
            cut = cut.replace("</w>", " ").strip()
            tokenized.append(Tokens(tuple(token for token, _, _ in chunk), pieces, span, cut=cut))
            if cut:
                logging.warning(
                    f"“{prompt}” is longer than the {len(chunk)} tokens that concepts are read in; left out: “{cut}”."
                )
        return tokenized

    return tokenize


def _check(clip: Any, encoders: Sequence[TextEncoder]) -> None:
    """That they say what the host's own say."""
    theirs = clip.encode_from_tokens(clip.tokenize(_TRIED))[0].float().cpu()
    ours = torch.cat([encoder.encode([_TRIED])[0].embeddings for encoder in encoders], dim=1)
    if theirs.shape != ours.shape or not float((theirs - ours).norm()) <= _SAME * float(theirs.norm()):
        raise EditError(_UNKNOWN)


def concept_edits_on(clip: Any) -> list[CarriedEdit]:
    """The concept edits that a CLIP carries, in the order in which they are applied."""
    return list(clip.patcher.get_attachment(_ATTACHMENT) or ())


def with_edit(clip: Any, edit: ConceptEdit, strength: float = 1.0) -> Any:
    """A clone of the CLIP that carries the edit, after whatever it carries already.

    Args:
        clip: not changed.
        edit: what to put on.
        strength: what to scale it by.

    Raises:
        EditError: ComfyUI does not accept a patch.
    """
    patches = {
        f"{name}.transformer.{_OURS}{weight_name(layer)}": LoRAAdapter(set(), (up, down, None, None, None, None))
        for name, layers in edit.scale(strength).changes.items()
        for layer, (up, down) in layers.items()
    }
    patched = clip.clone()
    if set(patched.add_patches(patches)) != set(patches):
        raise EditError("ComfyUI did not accept the patch on every layer of the text encoder; load the CLIP unquantised.")
    patched.patcher.set_attachments(_ATTACHMENT, (*concept_edits_on(clip), CarriedEdit(edit.recipe, strength)))
    return patched
