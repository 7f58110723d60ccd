"""One edit of a recipe: a source, what it is to mean, and in which sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ..errors import EditError
from ..lines import ARROW, escape, tidy

DEFAULT_AUGMENTATIONS = ("A photo of", "An image of", "A picture of")
STRENGTH_LIMIT = 2.0


def augment(template: str, prompt: str) -> str:
    """Put ``prompt`` into an augmentation: at its ``{}``, or after it. A leading "A" becomes "a" (TIME, section 4.1)."""
    inner = "a" + prompt[1:] if prompt.startswith("A") else prompt
    return tidy(template.replace("{}", inner) if "{}" in template else f"{template} {inner}")


def checked_number(value: Any, name: str, low: float, high: float, low_allowed: bool = True) -> float:
    """``value`` as a number within limits. Raises :class:`EditError` that calls it ``name``."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise EditError(f"{name} is {value!r}; give a number.") from None
    if not math.isfinite(number) or number > high or number < low or (number == low and not low_allowed):
        rule = f"between {low:g} and {high:g}" if math.isfinite(high) else f"greater than {low:g} and finite"
        raise EditError(f"{name} is {number:g}; give a number {rule}.")
    return number


def check_strength(value: Any) -> float:
    """``value`` as a strength, or an :class:`EditError` when it is no number from -2 to 2."""
    return checked_number(value, "The strength", -STRENGTH_LIMIT, STRENGTH_LIMIT)


def settle(pair: Any) -> None:
    """Tidy and check what every kind of edit has, while it is made: source, strength, weight and augmentations.

    Raises:
        EditError: a number is outside its limits.
    """
    set_ = object.__setattr__
    set_(pair, "source", tidy(pair.source))
    set_(pair, "strength", check_strength(pair.strength))
    set_(pair, "weight", checked_number(pair.weight, "The weight", 0.0, math.inf, low_allowed=False))
    set_(pair, "augmentations", tuple(line for line in map(tidy, pair.augmentations) if line))


@dataclass(frozen=True, order=True)
class PromptPair:
    """One edit: wherever the model would think of ``source`` it should think of ``destination``.

    An empty ``destination`` forgets the source. ``strength`` moves the target, c + strength (c* - c), and lies between -2
    and 2; 0 is off. ``weight`` (above 0) says how much the pair counts beside the others of a joint solve.
    ``augmentations`` are sentences in which the pair is repeated: a phrase that goes before it, or one with ``{}``.
    ``in_place`` says what padding answers to (:func:`~..alignment.align`), and is no part of what is asked.
    """

    source: str
    destination: str
    strength: float = 1.0
    weight: float = 1.0
    augmentations: tuple[str, ...] = DEFAULT_AUGMENTATIONS
    in_place: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "destination", tidy(self.destination))
        if not self.source:
            raise EditError("The source is empty; write the prompt whose assumption you want to change.")
        if self.source == self.destination:
            raise EditError(
                f"The source and the destination are both “{self.source}”, so nothing would change; "
                "say in the destination what the source should mean."
            )

    def sentences(self) -> list[tuple[str, str]]:
        """The pair itself and the pair in every augmentation, as (source, destination) texts."""
        plain = (self.source, self.destination)
        source, destination = plain
        return [plain, *((augment(line, source), augment(line, destination)) for line in self.augmentations)]

    def to_text(self) -> str:
        """Source and destination as a line has them."""
        return f"{escape(self.source)} {ARROW} {escape(self.destination)}".rstrip()

    def described(self) -> str:
        """As people are told of it."""
        return f"{self.source} → {self.destination or '(forgotten)'}"
