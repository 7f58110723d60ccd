"""The methods side by side on a user's own pipeline: what each makes of some edits, and how that is put on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...editing.assumptions.behind_norm import mapped_behind
from ...editing.assumptions.chance_pair import ChancePair, Variant
from ...editing.assumptions.edit import Edit
from ...editing.assumptions.prompt_pair import PromptPair
from ...editing.assumptions.recipe import Recipe
from ...editing.concepts.concept_edit import ConceptEdit
from ...editing.concepts.concept_lines import Concept
from ...editing.concepts.concept_lines import Variant as Meaning
from ...editing.encoding import EncodedPrompt
from ...editing.errors import EditError
from ...pipelines.command_inputs import Settings
from ...pipelines.edited_projections import edited_projections
from ...pipelines.pipeline_concepts import edit_concepts, edited_text
from ...pipelines.pipeline_edit import edited
from ...pipelines.recipe_solver import solve_recipe
from ...pipelines.text_encoding import encoder_of
from ...pocket.captions import captions_for
from ..peers.listed import peers
from ..suite_methods import Method, Seen, methods, unchanged
from .edit_set import EditSet, PaperEdit

OURS, EMCID, CHANCE = "ours", "EMCID", "by chance"


@dataclass(frozen=True)
class PaperMethod:
    """A way to get what edits ask for.

    Args:
        name: for tables.
        make: a pipeline and edits to what is put on: an edit or a map of the text, an edit of the text encoder, a recipe
            that is drawn by chance, or None for nothing.
        oracle: whether the destination is written into the prompts.
        plain: whether the pipeline stays as it is.
    """

    name: str
    make: Callable[[Any, Sequence[PaperEdit]], Any]
    oracle: bool = False
    plain: bool = False

    @contextmanager
    def put_on(self, pipe: Any, edits: Sequence[PaperEdit]) -> Iterator[None]:
        """While it is open, the pipeline draws with the edits. Raises :class:`EditError` where they cannot be made."""
        made = self.make(pipe, edits)
        if made is None:
            yield
            return
        if isinstance(made, ConceptEdit):
            on = edited_text(pipe, made)
        elif isinstance(made, Edit):
            on = edited_projections(pipe, made.context_map, made.norms)
        elif isinstance(made, Recipe):
            on = edited(pipe, made)
        else:
            on = edited_projections(pipe, made)
        with on:
            yield

    def encode(self, pipe: Any, edits: Sequence[PaperEdit], prompts: Sequence[str]) -> list[EncodedPrompt]:
        """What the diffusion model would read of prompts, with the edits on; a diffusion model is not needed.

        Raises:
            EditError: the edits cannot be made, or are drawn by chance.
        """
        made, encode = self.make(pipe, edits), encoder_of(pipe)
        if isinstance(made, Recipe):
            raise EditError("What is drawn by chance differs from picture to picture; leave it out where there are none.")
        if isinstance(made, ConceptEdit):
            with edited_text(pipe, made):
                return encode(prompts)
        encoded = encode(prompts)
        return encoded if made is None else [_mapped(made, prompt) for prompt in encoded]


def _mapped(made: Any, prompt: EncodedPrompt) -> EncodedPrompt:
    text_map, norms = (made.context_map, made.norms) if isinstance(made, Edit) else (made, 0)
    return replace(prompt, embeddings=mapped_behind(prompt.embeddings[None], norms, text_map.apply)[0])


@dataclass(frozen=True)
class OwnSeen(Seen):
    """What a method sees of a user's own model.

    Args:
        known_captions: what is ordinary to its text encoder.
        preserved: what the file asks to keep.
    """

    known_captions: tuple[str, ...] = ()
    preserved: tuple[str, ...] = ()

    @property
    def captions(self) -> tuple[str, ...]:
        """Ordinary ones, of the width of its embeddings."""
        return self.known_captions

    @property
    def bare(self) -> tuple[str, ...]:
        """What is to stay, prompt by prompt."""
        return self.preserved


@dataclass(frozen=True)
class MethodSettings:
    """What decides methods beside the edits.

    Args:
        concepts: EMCID's settings.
        folder: where EMCID keeps values and statistics.
        seed: of EMCID's noise.
        advance: told how many of EMCID's values were found, of how many.
    """

    concepts: Settings
    folder: Path | None = None
    seed: int = 0
    advance: Callable[[int, int], None] = lambda done, all_of_them: None


def paper_methods(edit_set: EditSet, settings: MethodSettings) -> dict[str, PaperMethod]:
    """Name to method, in the order of the tables: those of :func:`..suite_methods.methods`, EMCID, and ours by chance.

    Ours is solved as :func:`~...pipelines.pipeline_edit.edit_pipeline` does it, so that what it holds in place is read once.

    Args:
        edit_set: what is asked; a file without variants has nothing to draw by chance.
        settings: of EMCID.
    """

    @lru_cache(maxsize=1)  # the same for all groups, so that captions and words are encoded once
    def seen(pipe: Any) -> OwnSeen:
        known = Seen.of(pipe)
        captions = captions_for(known.encode(["a photo"])[0].embeddings.shape[1])
        told = {field.name: getattr(known, field.name) for field in fields(known)}
        return OwnSeen(**told, known_captions=captions, preserved=edit_set.preserve)

    def solved(method: Method) -> Callable[[Any, Sequence[PaperEdit]], Any]:
        return lambda pipe, edits: method.solve(seen(pipe), edits)

    def ours(pipe: Any, edits: Sequence[PaperEdit]) -> Edit:
        pairs = tuple(PromptPair(edit.source, edit.destination) for edit in edits)
        return solve_recipe(pipe, Recipe(pairs))

    def emcid(pipe: Any, edits: Sequence[PaperEdit]) -> ConceptEdit:
        recipe = settings.concepts.recipe([_concept(edit) for edit in edits])
        captions = settings.concepts.captions
        return edit_concepts(pipe, recipe, captions, folder=settings.folder, advance=settings.advance, seed=settings.seed)

    def chance(pipe: Any, edits: Sequence[PaperEdit]) -> Recipe:
        drawn = (ChancePair(edit.source, tuple(Variant(text, 50.0) for text in edit.variants)) for edit in edits)
        return Recipe((), chances=tuple(drawn))

    known = {
        method.name: PaperMethod(
            method.name, ours if method.name == OURS else solved(method), method.oracle, method.solve is unchanged
        )
        for method in {**methods(), **peers()}.values()
    }
    known[EMCID] = PaperMethod(EMCID, emcid)
    if all(edit.variants for edit in edit_set.edits):
        known[CHANCE] = PaperMethod(CHANCE, chance)
    return known


def _concept(edit: PaperEdit) -> Concept:
    if edit.variants:
        return Concept(edit.source, "", tuple(map(Meaning, edit.variants)))
    return Concept(edit.source, edit.destination)


def chosen_methods(
    names: Sequence[str], known: dict[str, PaperMethod], text_only: bool, transformer: bool, with_peers: bool = False
) -> list[PaperMethod]:
    """Those that are named; all that can be measured if none is.

    Args:
        names: as given.
        known: all.
        text_only: whether no picture is drawn; then EMCID, which searches for minutes, runs only where it is named.
        transformer: whether the pipeline's model is one, whose text encoders EMCID does not know.
        with_peers: whether the newer peers are measured behind the named methods, or behind all.

    Raises:
        EditError: one is not known, or cannot be measured from text alone.
    """
    for name in names:
        if name not in known:
            raise EditError(f"There is no method “{name}” for this file; choose from {', '.join(known)}.")
    if text_only and CHANCE in names:
        raise EditError("What is drawn by chance differs from picture to picture; leave out --text-only to measure it.")
    left_out = {CHANCE, EMCID} if text_only else {EMCID} if transformer else set()
    usual = [name for name in known if name not in {*left_out, *peers()}]
    return [known[name] for name in dict.fromkeys([*(names or usual), *(peers() if with_peers else ())])]
