"""The methods that are compared: what each makes of a list of edits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Protocol

import torch

from ..editing.assumptions.closed_form import solve
from ..editing.assumptions.context_map import ContextMap
from ..editing.assumptions.edit import make_edit, solve_regularized
from ..editing.assumptions.moments import KnownMoment, read_known, second_moment
from ..editing.assumptions.null_space import complement
from ..editing.assumptions.prompt_pair import DEFAULT_AUGMENTATIONS, PromptPair
from ..editing.assumptions.recipe import DEFAULT_REGULARIZATION, Recipe
from ..editing.assumptions.token_columns import Columns, parts_of
from ..editing.encoding import Encode, EncodedPrompt, EncodeShort
from ..editing.known_texts import KnownTexts
from ..pipelines.pipeline_moments import words_and_short_windows
from ..pipelines.text_encoding import encoder_of
from ..pipelines.text_map import TextMap
from ..pipelines.text_models import text_weights
from ..pocket.captions import bare_captions, ordinary_captions
from .held_out import without
from .suite import SuiteEdit


@dataclass(frozen=True)
class Seen:
    """What a method sees of a model.

    Args:
        encode: its text encoder.
        words: of its tokenizer's vocabulary.
        short: its text encoder in short windows; None where it has none.
        held_out: things that captions and preserve lists do not name.
        weights: reads the weights of its text projections, each (out, width); of none where they are not known.
    """

    encode: Encode
    words: tuple[str, ...] = ()
    short: EncodeShort | None = None
    held_out: frozenset[str] = frozenset()
    weights: Callable[[], Sequence[torch.Tensor]] = tuple

    @classmethod
    def of(cls, pipe: Any) -> Seen:
        """Of a diffusers pipeline."""
        return cls(encoder_of(pipe), *words_and_short_windows(pipe), weights=partial(text_weights, pipe))

    @property
    def captions(self) -> tuple[str, ...]:
        """Ordinary ones."""
        return without(ordinary_captions(), self.held_out)

    @property
    def bare(self) -> tuple[str, ...]:
        """The bare names of things."""
        return without(bare_captions(), self.held_out)


Solver = Callable[[Seen, Sequence[SuiteEdit]], TextMap | None]


@dataclass(frozen=True)
class Method:
    """One way to get what the edits ask for.

    Args:
        name: for tables.
        solve: what is seen of the model and some edits, together, to the map of all of them; None leaves the model as it is.
        oracle: whether the destination is written into the prompts.
    """

    name: str
    solve: Solver
    oracle: bool = False


class Pair(Protocol):
    """Anything with a source and a destination."""

    @property
    def source(self) -> str:
        """What is to change."""

    @property
    def destination(self) -> str:
        """What it becomes."""


def _pairs(edits: Sequence[Pair]) -> tuple[PromptPair, ...]:
    return tuple(PromptPair(edit.source, edit.destination) for edit in edits)


def unchanged(seen: Seen, edits: Sequence[SuiteEdit]) -> None:
    """No edit."""


def time_as_published(seen: Seen, edits: Sequence[Pair]) -> ContextMap:
    """TIME (Orgad et al. 2023): lambda 0.1 on the identity, every position, the paper's three sentences."""
    return make_edit(Recipe(_pairs(edits), regularizer="identity"), seen.encode, scaled=False).context_map


UCE_REGULARIZATION = 0.1


def last_word(encoded: EncodedPrompt) -> torch.Tensor:
    """The embedding of a prompt's last word, (1, width), which is what UCE edits."""
    return encoded.embeddings[encoded.words[-1:]]


def last_words(seen: Seen, edits: Sequence[Pair], preserve: Sequence[str] | None = None) -> tuple[Columns, Columns]:
    """The last token of each source beside its destination's, and that of each preserved prompt beside itself.

    What is preserved is the bare name of everything that is seen, if not given; no source is.
    """
    preserve = seen.bare if preserve is None else preserve
    sources, targets = [edit.source for edit in edits], [edit.destination for edit in edits]
    kept = [prompt for prompt in preserve if prompt not in sources]
    prompts = list(dict.fromkeys([*sources, *targets, *kept]))
    known = dict(zip(prompts, map(last_word, seen.encode(prompts)), strict=True))

    def rows(texts: Sequence[str]) -> torch.Tensor:
        return torch.cat([known[text] for text in texts]) if texts else known[prompts[0]][:0]

    return Columns.of(rows(sources), rows(targets)), Columns.of(rows(kept), rows(kept))


def uce(seen: Seen, edits: Sequence[Pair], preserve: Sequence[str] | None = None) -> ContextMap:
    """UCE (Gandikota et al. 2024): :func:`last_words`, lambda 0.1."""
    return solve(Columns.joined(last_words(seen, edits, preserve)), UCE_REGULARIZATION, scaled=False).context_map


@lru_cache(maxsize=16)
def _known_moment(encode: Encode, short: EncodeShort | None, captions: tuple[str, ...], words: tuple[str, ...]) -> KnownMoment:
    return read_known(encode, KnownTexts(captions, words), short)


def ours(seen: Seen, edits: Sequence[Pair], captions: tuple[str, ...] | None = None) -> ContextMap:
    """The project's default: TIME's columns, the second moment of captions and vocabulary in the identity's place."""
    moment = _known_moment(seen.encode, seen.short, captions or seen.captions, seen.words)
    return make_edit(Recipe(_pairs(edits)), seen.encode, moment=moment).context_map


@lru_cache(maxsize=8)
def _caption_moment(encode: Encode, captions: tuple[str, ...], positions: str) -> torch.Tensor:
    return second_moment(encode(captions), positions)


@dataclass(frozen=True)
class Variant:
    """The default with something changed, to see what it is worth.

    Args:
        regularization: as users give it.
        positions: which tokens of a prompt take part (:func:`~..editing.assumptions.token_columns.positions_of`).
        moment: what the second moment is taken over: "known" for captions and vocabulary without what is edited, as in
            :func:`ours`; "all known" with it; "captions", the ordinary ones; "bare", things by their names; "" for the
            identity.
        preserve: whether things' bare names are kept, beside the edited ones.
        augmentations: sentences in which an edit is repeated.
        null_space: confine the edit to the captions' weakest directions, which together hold this share of their energy, as
            AlphaEdit does (Fang et al., ICLR 2025); 0 confines it nowhere.
    """

    regularization: float = DEFAULT_REGULARIZATION
    positions: str = "all"
    moment: str = "known"
    preserve: bool = False
    augmentations: tuple[str, ...] = DEFAULT_AUGMENTATIONS
    null_space: float = 0.0

    def __call__(self, seen: Seen, edits: Sequence[SuiteEdit]) -> ContextMap:
        """The map."""
        pairs = tuple(replace(pair, augmentations=self.augmentations) for pair in _pairs(edits))
        kept = tuple(prompt for prompt in seen.bare if prompt not in {pair.source for pair in pairs}) if self.preserve else ()
        recipe = Recipe(pairs, kept)
        prompts = recipe.prompts()
        columns = parts_of(recipe, dict(zip(prompts, seen.encode(prompts), strict=True)), self.positions)
        protected = self._strong_directions(seen) if self.null_space else None
        moment = self._moment(seen, recipe)
        return solve_regularized(columns, self.regularization, moment=moment, protected=protected).context_map

    def _moment(self, seen: Seen, recipe: Recipe) -> torch.Tensor | None:
        if self.moment.endswith("known") and self.positions == "all":
            known = _known_moment(seen.encode, seen.short, seen.captions, seen.words)
            return known.beside(recipe.sources, seen.encode) if self.moment == "known" else known.whole()
        captions = {"known": seen.captions, "captions": seen.captions, "bare": seen.bare}.get(self.moment)
        return None if captions is None else _caption_moment(seen.encode, captions, self.positions)

    def _strong_directions(self, seen: Seen) -> torch.Tensor:
        energy, directions = torch.linalg.eigh(_caption_moment(seen.encode, seen.captions, self.positions))
        weak = complement((directions * energy.clamp(min=0).sqrt()).T, math.sqrt(self.null_space))
        return complement(weak.T).T


def methods() -> dict[str, Method]:
    """Name to method, in the order of the tables."""
    listed = (
        Method("unedited", unchanged),
        Method("oracle", unchanged, oracle=True),
        Method("TIME", time_as_published),
        Method("UCE", uce),
        Method("ours", ours),
    )
    return {method.name: method for method in listed}


def ablation() -> dict[str, Method]:
    """Name to variant of ours: one thing changed at a time."""
    variants = {
        "ours": ours,
        "what is edited held": Variant(moment="all known"),
        "captions": Variant(moment="captions"),
        "identity": Variant(moment=""),
        "identity, preserve": Variant(moment="", preserve=True),
        "words only": Variant(positions="words"),
        "identity, words only": Variant(positions="words", moment=""),
        "bare captions": Variant(moment="bare"),
        "preserve": Variant(preserve=True),
        "null space": Variant(null_space=0.03),
        "identity, null space": Variant(null_space=0.03, moment=""),
        "no augmentations": Variant(augmentations=()),
        "regularization 0.01": Variant(0.01),
        "regularization 1": Variant(1.0),
    }
    return {name: Method(name, variant) for name, variant in variants.items()}
