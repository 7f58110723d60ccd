"""The methods that are compared: what each makes of a list of edits."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from ..editing.closed_form import solve
from ..editing.columns import Columns, columns_of
from ..editing.context_map import ContextMap
from ..editing.edit import make_edit
from ..editing.encoding import Encode, EncodedPrompt
from ..editing.moments import second_moment
from ..editing.recipe import PromptPair, Recipe
from ..pocket.captions import caption, random_sample, random_words
from ..pocket.words import ALL
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


def _pairs(edits: Sequence[SuiteEdit]) -> tuple[PromptPair, ...]:
    return tuple(PromptPair(edit.source, edit.destination) for edit in edits)


def unchanged(encode: Encode, edits: Sequence[SuiteEdit]) -> None:
    """No edit."""


def time_as_published(encode: Encode, edits: Sequence[SuiteEdit]) -> ContextMap:
    """TIME (Orgad et al. 2023): lambda 0.1 on the identity, every position, the paper's three sentences."""
    return make_edit(Recipe(_pairs(edits)), encode, scaled=False).context_map


def _last_word(encoded: EncodedPrompt) -> torch.Tensor:
    return encoded.embeddings[encoded.words[-1:]]


def uce(encode: Encode, edits: Sequence[SuiteEdit], preserve: Sequence[str] = ()) -> ContextMap:
    """UCE (Gandikota et al. 2024): the last token of source and destination, and preserved prompts likewise; lambda 0.1."""
    pairs = _pairs(edits)
    kept = [prompt for prompt in preserve if prompt not in {pair.source for pair in pairs}]
    prompts = list(dict.fromkeys([*(text for pair in pairs for text in (pair.source, pair.destination)), *kept]))
    known = dict(zip(prompts, encode(prompts), strict=True))
    columns = [Columns.of(_last_word(known[pair.source]), _last_word(known[pair.destination])) for pair in pairs]
    columns += [Columns.of(_last_word(known[prompt]), _last_word(known[prompt])) for prompt in kept]
    return solve(Columns.joined(columns), 0.1, scaled=False).context_map


@dataclass(frozen=True)
class Ours:
    """One edit with the project's own means: which positions, which prior, what is preserved.

    Args:
        regularization: lambda, scaled as everywhere.
        positions: "all" or "words".
        captions: ordinary prompts; with them lambda weighs on their second moment in place of the identity.
        preserve: prompts to keep, beside the edited ones.
    """

    regularization: float = 0.1
    positions: str = "words"
    captions: tuple[str, ...] = ()
    preserve: tuple[str, ...] = ()

    def __call__(self, encode: Encode, edits: Sequence[SuiteEdit]) -> ContextMap:
        """The map."""
        pairs = _pairs(edits)
        kept = tuple(prompt for prompt in self.preserve if prompt not in {pair.source for pair in pairs})
        recipe = Recipe(pairs, kept)
        prompts = list(dict.fromkeys([*recipe.prompts(), *self.captions]))
        known = dict(zip(prompts, encode(prompts), strict=True))
        moment = second_moment([known[text] for text in self.captions], self.positions) if self.captions else None
        return solve(columns_of(recipe, known, self.positions), self.regularization, moment=moment).context_map


def ordinary_captions(count: int = 400) -> tuple[str, ...]:
    """Captions as the pocket model was trained on; always the same."""
    chance = random.Random("ordinary captions")
    return tuple(dict.fromkeys(random_sample(chance).caption(random_words(chance)) for _ in range(count)))


def neutral_prompts() -> tuple[str, ...]:
    """Every thing by its bare name, to be kept."""
    return tuple(caption(thing, {}) for thing in ALL.values())


def all_methods() -> dict[str, Method]:
    """Name to method, in the order of the tables."""
    captions, neutral = ordinary_captions(), neutral_prompts()
    methods = [
        Method("unedited", unchanged),
        Method("oracle", unchanged, oracle=True),
        Method("TIME", time_as_published),
        Method("UCE", partial(uce, preserve=neutral)),
        Method("words", Ours()),
        Method("words, captions", Ours(10.0, captions=captions)),
        Method("words, captions, preserve", Ours(10.0, captions=captions, preserve=neutral)),
    ]
    return {method.name: method for method in methods}
