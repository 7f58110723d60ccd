"""The methods that edit many concepts together, each put on a diffusers pipeline: EMCID, TIME, UCE, our own K/V edit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..editing.assumptions.context_map import ContextMap
from ..editing.concepts.concept_lines import Concept
from ..editing.concepts.concept_recipe import ConceptRecipe
from ..editing.errors import EditError
from ..pipelines.edited_projections import edited_projections
from ..pipelines.pipeline_concepts import edit_concepts, edited_text
from .joint import JointMethod
from .suite_methods import Seen, ours, time_as_published, uce


def search_shown(bar: tqdm) -> Callable[[int, int], None]:
    """An ``advance`` for :func:`joint_methods` that says beside a progress bar how far the search for values is."""

    def show(done: int, of: int) -> None:
        bar.set_postfix_str(f"EMCID: {done} of {of} concepts" if done < of else "")

    return show


def joint_methods(
    recipe: Callable[[Sequence[Concept]], ConceptRecipe],
    captions: Sequence[str],
    preserve: Sequence[str] = (),
    folder: Path | None = None,
    seed: int = 0,
    advance: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> dict[str, JointMethod]:
    """Name to method.

    Args:
        recipe: EMCID's settings for some concepts; UCE is given the same sentences.
        captions: what is ordinary, for EMCID and our own K/V edit.
        preserve: what UCE keeps; what names an edited source is left out.
        folder: where EMCID keeps values and statistics, so that each concept is searched for once.
        seed: of EMCID's noise.
        advance: told how many of a group's values are found, of how many; may raise to stop.
    """

    def emcid(pipe: Any, concepts: Sequence[Concept]) -> AbstractContextManager[None]:
        edit = edit_concepts(pipe, recipe(concepts), captions, folder=folder, advance=advance, seed=seed)
        return edited_text(pipe, edit)

    def uce_beside(seen: Seen, concepts: Sequence[Concept]) -> ContextMap:
        sources = [re.compile(rf"\b{re.escape(concept.source)}\b", re.IGNORECASE) for concept in concepts]
        templates = recipe(concepts).templates
        pairs = [Concept(*pair) for concept in concepts for pair in concept.sentences(templates)]
        return uce(seen, pairs, [text for text in preserve if not any(source.search(text) for source in sources)])

    @lru_cache(maxsize=1)  # the same for all groups, so that captions and words are encoded once
    def seen(pipe: Any) -> Seen:
        return Seen.of(pipe)

    def projections(
        solve: Callable[[Seen, Sequence[Concept]], ContextMap], pipe: Any, concepts: Sequence[Concept]
    ) -> AbstractContextManager[None]:
        if getattr(pipe, "text_encoder_2", None) is not None:
            raise EditError("TIME, UCE and K/V know models of one text encoder here; choose the method EMCID.")
        return edited_projections(pipe, solve(seen(pipe), concepts))

    methods = (
        JointMethod("EMCID", emcid),
        JointMethod("TIME", partial(projections, time_as_published)),
        JointMethod("UCE", partial(projections, uce_beside)),
        JointMethod("K/V", partial(projections, partial(ours, captions=tuple(captions)))),
    )
    return {method.name: method for method in methods}
