"""One edit by chance: a source and several variants, of which every picture draws one.

In text ``a doctor -> 60% a female doctor | 40% a male doctor``. Without numbers the shares are equal, and where some variants
have one, those without get what is left. ``as is`` is a variant, too: the source as the model has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ..errors import EditError
from ..lines import ARROW, NUMBER, escape, tidy
from .prompt_pair import DEFAULT_AUGMENTATIONS, PromptPair, checked_number, settle

AS_IS = "as is"
_WHOLE = 100.0
_SLACK = 1.0
"""How far shares may be from a hundred together, as thrice 33.3 % are."""


@dataclass(frozen=True, order=True)
class Variant:
    """What a picture may draw.

    Args:
        destination: what the source means then; "as is" leaves it.
        share: of the pictures, in percent.
    """

    destination: str
    share: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "destination", tidy(self.destination))
        share = checked_number(self.share, f"The share of “{self.destination}”", 0.0, _WHOLE, low_allowed=False)
        object.__setattr__(self, "share", share)
        if not self.destination:
            raise EditError("A variant is empty; write one on either side of “|”, such as: a female doctor | a male doctor")

    @property
    def as_is(self) -> bool:
        """Whether the source stays as it is."""
        return self.destination == AS_IS


@dataclass(frozen=True, order=True)
class ChancePair:
    """Wherever the model would think of ``source``, a picture thinks of the variant that it has drawn.

    ``strength``, ``weight`` and ``augmentations`` are those of :class:`~.prompt_pair.PromptPair`, for every variant. Variants
    are kept sorted, so that their order changes neither the result nor what a picture draws.
    """

    source: str
    variants: tuple[Variant, ...]
    strength: float = 1.0
    weight: float = 1.0
    augmentations: tuple[str, ...] = DEFAULT_AUGMENTATIONS

    def __post_init__(self) -> None:
        settle(self)
        variants = tuple(sorted(self.variants))
        total = sum(variant.share for variant in variants)
        if len(variants) < 2 or len({variant.destination.lower() for variant in variants}) < len(variants):
            raise EditError("What is drawn by chance has two variants or more, each once; see that none stands there twice.")
        if any(variant.destination == self.source for variant in variants):
            raise EditError(f"“{self.source}” is its own variant; write “{AS_IS}” for the source as it was.")
        if abs(total - _WHOLE) > _SLACK:
            raise EditError(f"The shares of “{self.source}” add up to {total:g} %; make them 100 %, or leave one number out.")
        if len({variant.share for variant in variants}) == 1:
            variants = tuple(Variant(variant.destination, _WHOLE / len(variants)) for variant in variants)
        object.__setattr__(self, "variants", variants)
        self.pairs()

    @property
    def shares(self) -> tuple[float, ...]:
        """Of each variant; they sum to 1."""
        total = sum(variant.share for variant in self.variants)
        return tuple(variant.share / total for variant in self.variants)

    def each(self) -> tuple[PromptPair | None, ...]:
        """Every variant as an edit of full weight; None for the one that leaves the source as it is."""
        return tuple(None if variant.as_is else self._pair(variant, self.weight) for variant in self.variants)

    def pairs(self) -> tuple[PromptPair, ...]:
        """The variants as edits, each with its share of the weight: solved together they are what pictures get on average."""
        shares = zip(self.variants, self.shares, strict=True)
        return tuple(self._pair(variant, self.weight * share) for variant, share in shares if not variant.as_is)

    def _pair(self, variant: Variant, weight: float) -> PromptPair:
        return PromptPair(self.source, variant.destination, self.strength, weight, self.augmentations, in_place=True)

    @property
    def stays(self) -> float:
        """The weight of the variant that leaves the source as it is; 0 where there is none."""
        shares = zip(self.variants, self.shares, strict=True)
        return self.weight * sum(share for variant, share in shares if variant.as_is)

    def draw(self, number: float) -> int:
        """Which variant a number from 0 to below 1 stands for."""
        return next((place for place, end in enumerate(accumulate(self.shares)) if number < end), len(self.variants) - 1)

    def described_variant(self, number: int) -> str:
        """One variant as people are told that it was drawn."""
        variant = self.variants[number]
        return f"{self.source} as it is" if variant.as_is else variant.destination

    def to_text(self) -> str:
        """Source and variants as a line has them, which :func:`variants_of` reads back."""
        told = len({variant.share for variant in self.variants}) > 1
        shown = [(f"{_number(variant.share)}% " if told else "") + escape(variant.destination) for variant in self.variants]
        return f"{escape(self.source)} {ARROW} {' | '.join(shown)}"

    def described(self) -> str:
        """As people are told of it."""
        shares = zip(self.variants, self.shares, strict=True)
        return f"{self.source} → by chance " + " | ".join(f"{share:.0%} {one.destination}" for one, share in shares)


def _number(share: float) -> str:
    """Exactly, and as short as may be."""
    return f"{share:g}" if float(f"{share:g}") == share else repr(share)


def variants_of(pieces: Sequence[tuple[str, str]]) -> tuple[Variant, ...] | None:
    """The variants behind an arrow; None where there is one destination alone.

    Args:
        pieces: the text, cut at "|" and "%" by :func:`~..lines.split`.

    Raises:
        EditError: a share without other variants, or shares that leave nothing for the others.
    """
    told: list[tuple[float | None, str]] = []
    for mark, text in pieces:
        if mark != "%":
            told.append((None, text))
        elif told[-1][0] is None and re.fullmatch(NUMBER, told[-1][1].strip()):
            told[-1] = (float(told[-1][1]), text)
        else:
            told[-1] = (told[-1][0], f"{told[-1][1]}%{text}")
    if len(told) == 1:
        if told[0][0] is not None:
            raise EditError(
                f"“{told[0][0]:g}%” is a share, and there is one variant alone; write “| {AS_IS}” behind it for the others, "
                "or \\% if it belongs to the text"
            )
        return None
    given = [share for share, _ in told if share is not None]
    rest = _WHOLE - sum(given)
    if len(given) < len(told) and not rest > 0:
        raise EditError(f"the shares add up to {sum(given):g} %, so nothing is left for the variant without a number")
    each = rest / max(1, len(told) - len(given))
    return tuple(Variant(text, each if share is None else share) for share, text in told)
