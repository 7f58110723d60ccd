"""The methods that are compared: what each makes of a list of edits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Protocol

import torch

from ..editing.closed_form import solve
from ..editing.columns import Columns, columns_of
from ..editing.context_map import ContextMap
from ..editing.edit import make_edit, solve_regularized
from ..editing.encoding import Encode, EncodedPrompt
from ..editing.moments import caption_moment
from ..editing.null_space import complement
from ..editing.recipe import DEFAULT_AUGMENTATIONS, DEFAULT_REGULARIZATION, PromptPair, Recipe
from ..pocket.captions import bare_captions, ordinary_captions
from .suite import SuiteEdit

Solver = Callable[[Encode, Sequence[SuiteEdit]], ContextMap | None]


@dataclass(frozen=True)
class Method:
    """One way to get what the edits ask for.

    Args:
        name: for tables.
        solve: the text encoder and some edits, together, to the map of all of them; None leaves the model as it is.
        oracle: whether the destination is written into the prompts.
    """

    name: str
    solve: Solver
    oracle: bool = False


class Asked(Protocol):
    """Anything with a source and a destination."""

    @property
    def source(self) -> str:
        """What is to change."""

    @property
    def destination(self) -> str:
        """What it becomes."""


def _pairs(edits: Sequence[Asked]) -> tuple[PromptPair, ...]:
    return tuple(PromptPair(edit.source, edit.destination) for edit in edits)


def unchanged(encode: Encode, edits: Sequence[SuiteEdit]) -> None:
    """No edit."""


def time_as_published(encode: Encode, edits: Sequence[Asked]) -> ContextMap:
    """TIME (Orgad et al. 2023): lambda 0.1 on the identity, every position, the paper's three sentences."""
    return make_edit(Recipe(_pairs(edits), regularizer="identity"), encode, scaled=False).context_map


def _last_word(encoded: EncodedPrompt) -> torch.Tensor:
    return encoded.embeddings[encoded.words[-1:]]


def uce(encode: Encode, edits: Sequence[Asked], preserve: Sequence[str] = ()) -> ContextMap:
    """UCE (Gandikota et al. 2024): the last token of source and destination, and preserved prompts likewise; lambda 0.1."""
    pairs = _pairs(edits)
    kept = [prompt for prompt in preserve if prompt not in {pair.source for pair in pairs}]
    prompts = list(dict.fromkeys([*(text for pair in pairs for text in (pair.source, pair.destination)), *kept]))
    known = dict(zip(prompts, encode(prompts), strict=True))
    columns = [Columns.of(_last_word(known[pair.source]), _last_word(known[pair.destination])) for pair in pairs]
    columns += [Columns.of(_last_word(known[prompt]), _last_word(known[prompt])) for prompt in kept]
    return solve(Columns.joined(columns), 0.1, scaled=False).context_map


_moment = lru_cache(maxsize=8)(caption_moment)


def ours(encode: Encode, edits: Sequence[Asked], captions: tuple[str, ...] | None = None) -> ContextMap:
    """The project's default: TIME's columns, the second moment of ordinary captions in the identity's place."""
    moment = _moment(encode, captions or ordinary_captions())
    return make_edit(Recipe(_pairs(edits)), encode, moment=moment).context_map


@dataclass(frozen=True)
class Variant:
    """The default with something changed, to see what it is worth.

    Args:
        regularization: as users give it.
        positions: which tokens of a prompt take part (:func:`~..editing.columns.positions_of`).
        captions: what the second moment is taken over; empty for the identity.
        preserve: prompts to keep, beside the edited ones.
        augmentations: sentences in which an edit is repeated.
        null_space: confine the edit to the captions' weakest directions, which together hold this share of their energy, as
            AlphaEdit does (Fang et al., ICLR 2025); 0 confines it nowhere.
    """

    regularization: float = DEFAULT_REGULARIZATION
    positions: str = "all"
    captions: tuple[str, ...] = field(default_factory=ordinary_captions)
    preserve: tuple[str, ...] = ()
    augmentations: tuple[str, ...] = DEFAULT_AUGMENTATIONS
    null_space: float = 0.0

    def __call__(self, encode: Encode, edits: Sequence[SuiteEdit]) -> ContextMap:
        """The map."""
        pairs = tuple(replace(pair, augmentations=self.augmentations) for pair in _pairs(edits))
        kept = tuple(prompt for prompt in self.preserve if prompt not in {pair.source for pair in pairs})
        recipe = Recipe(pairs, kept)
        prompts = recipe.prompts()
        columns = columns_of(recipe, dict(zip(prompts, encode(prompts), strict=True)), self.positions)
        moment = _moment(encode, self.captions, self.positions) if self.captions else None
        protected = self._strong_directions(encode) if self.null_space else None
        return solve_regularized(columns, self.regularization, moment=moment, protected=protected).context_map

    def _strong_directions(self, encode: Encode) -> torch.Tensor:
        energy, directions = torch.linalg.eigh(_moment(encode, ordinary_captions(), self.positions))
        weak = complement((directions * energy.clamp(min=0).sqrt()).T, math.sqrt(self.null_space))
        return complement(weak.T).T


def methods() -> dict[str, Method]:
    """Name to method, in the order of the tables."""
    found = (
        Method("unedited", unchanged),
        Method("oracle", unchanged, oracle=True),
        Method("TIME", time_as_published),
        Method("UCE", partial(uce, preserve=bare_captions())),
        Method("ours", ours),
    )
    return {method.name: method for method in found}


def ablation() -> dict[str, Method]:
    """Name to variant of ours: one thing changed at a time."""
    bare = bare_captions()
    variants = {
        "ours": ours,
        "identity": Variant(captions=()),
        "identity, preserve": Variant(captions=(), preserve=bare),
        "words only": Variant(positions="words"),
        "identity, words only": Variant(positions="words", captions=()),
        "bare captions": Variant(captions=bare),
        "preserve": Variant(preserve=bare),
        "null space": Variant(null_space=0.03),
        "identity, null space": Variant(null_space=0.03, captions=()),
        "no augmentations": Variant(augmentations=()),
        "regularization 0.01": Variant(0.01),
        "regularization 1": Variant(1.0),
    }
    return {name: Method(name, variant) for name, variant in variants.items()}
