"""Edits by chance on a ComfyUI MODEL: each picture draws its variants when sampling begins, and its text is mapped by them.

The text is mapped row by row where the model is called, before its layers. Which rows belong to which picture, and which
conditioning is the negative one, ComfyUI says there. Nothing is patched, so a batch may hold pictures of every variant.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ...editing.assumptions.behind_norm import mapped_behind
from ...editing.assumptions.chance_draw import Picture, described_draw, draw
from ...editing.assumptions.chance_map import ChanceMapOn
from ...editing.assumptions.edit import Edit
from ...editing.errors import EditError
from .drawn_pictures import DrawnPictures
from .no_checkpoint import BY_CHANCE, refuse_checkpoint
from .text_beside import check_conditioning
from .text_wrappers import put_first

_NAME = "edit_assumption"
Tell = Callable[[list[str]], None]


class ChanceDraws:
    """One edit by chance, from the sampler's first step to its last.

    Args:
        edit: with its maps.
        tell: told, a line a picture, what was drawn.
    """

    def __init__(self, edit: Edit, tell: Tell) -> None:
        if edit.chance is None:
            raise ValueError("the edit draws nothing")
        self.recipe, self.tell, self._norms = edit.recipe, tell, edit.norms
        self._width, self._maps = edit.chance.width, ChanceMapOn(edit.chance)
        self._pictures, self._name = DrawnPictures(), f"{_NAME}_{uuid.uuid4()}"

    def put_on(self, model: Any, instead_of: Any = None) -> None:
        """Onto a clone of a ``ModelPatcher``; see :func:`~.text_wrappers.put_first`."""
        put_first(model, {WrappersMP.OUTER_SAMPLE: self.outer_sample, WrappersMP.APPLY_MODEL: self.apply_model}, instead_of)
        refuse_checkpoint(model, BY_CHANCE)

    def outer_sample(self, executor: Any, noise: torch.Tensor, latent_image: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Draw, then sample."""
        guider = executor.class_obj
        for part in (part for parts in guider.conds.values() for part in parts or ()):
            check_conditioning(part)
        seed = kwargs.get("seed", args[5] if len(args) > 5 else None)
        pictures = self._pictures.among(noise, latent_image, seed)
        drawn = draw(self.recipe.drawn, pictures, self.recipe.spread)
        options = guider.model_options.setdefault("transformer_options", {})
        options[self._name] = drawn, _negatives(guider.conds)
        self.tell(self._lines(pictures, drawn))
        samples = executor(noise, latent_image, *args, **kwargs)
        self._pictures.remember(samples, pictures)
        return samples

    def apply_model(
        self,
        executor: Any,
        x: torch.Tensor,
        t: torch.Tensor,
        c_concat: torch.Tensor | None = None,
        c_crossattn: torch.Tensor | None = None,
        control: Any = None,
        transformer_options: dict[Any, Any] = {},  # noqa: B006 as ComfyUI has it
        **kwargs: Any,
    ) -> Any:
        """Map each row of the text, then go on."""
        if c_crossattn is not None:
            c_crossattn = self._mapped(c_crossattn, len(x), transformer_options)
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)

    def _mapped(self, text: torch.Tensor, rows: int, options: dict[Any, Any]) -> torch.Tensor:
        drawn, negatives = options.get(self._name, (None, frozenset()))
        chunks: Sequence[Hashable] = options.get("uuids") or [None] * len(options.get("cond_or_uncond", ()))
        if drawn is None or len(drawn) * len(chunks) != rows or len(text) != rows:
            raise EditError(
                "This sampler does not say which row belongs to which picture, so an edit by chance cannot be put on; use one "
                "of ComfyUI's own samplers, or write one destination in place of the variants."
            )
        left_alone = frozenset() if self.recipe.negative else negatives
        of_rows = [None if chunk in left_alone else own for chunk in chunks for own in drawn]
        if text.shape[-1] != self._width:
            raise EditError(
                f"The prompt has {text.shape[-1]} numbers a token, the edit {self._width}; use the CLIP that it was made with."
            )
        return mapped_behind(text, self._norms, lambda rows: self._maps.apply(rows, of_rows))

    def _lines(self, pictures: Sequence[Picture], drawn: Sequence[Sequence[int]]) -> list[str]:
        return [
            f"picture {place} (seed {picture.seed}, {picture.index}): {described_draw(self.recipe.drawn, own)}"
            for place, (picture, own) in enumerate(zip(pictures, drawn, strict=True), start=1)
        ]


def _negatives(conds: dict[str, Any]) -> frozenset[Hashable]:
    """What ComfyUI calls the parts of negative prompts by."""
    return frozenset(part.get("uuid") for name, parts in conds.items() if "negative" in name for part in parts or ())
