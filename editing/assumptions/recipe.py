"""What the user asked for: pairs of prompts and settings, as data, as text and as JSON.

Text form, one line an edit::

    a pack of roses -> a pack of blue roses
    a doctor -> a female doctor @ 0.5        # at half strength
    a doctor -> a male doctor * 2            # counts twice in a joint solve
    Van Gogh ->                              # forget
    = a pack of tulips                       # preserve
    == a pack of poppies                     # preserve strictly: not at all to change

Lines that begin with ``!`` are settings. ``! augmentations: A photo of | An image of`` (or ``none``) holds for the pairs
below it; ``! regularizer: identity``, ``! regularization: 0.2``, ``! passes: 2``, ``! projections: values``,
``! blocks: mid, up`` and ``! pooled: yes`` hold for the whole recipe. Comments, marks and escapes are those of :mod:`..lines`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ..errors import EditError
from ..lines import ARROW, NUMBER, escape, kind_of, phrase_lines, read_lines, set_once, split, text_of, tidy

DEFAULT_AUGMENTATIONS = ("A photo of", "An image of", "A picture of")
DEFAULT_REGULARIZATION = 0.1
"""TIME's own lambda. A tenth and ten times as much are no better on the bundled model's validation edits."""
REGULARIZERS = ("captions", "identity")
PROJECTION_CHOICES = ("keys and values", "values", "keys")
STRENGTH_LIMIT = 2.0
PASSES_LIMIT = 10


def augment(template: str, prompt: str) -> str:
    """Put ``prompt`` into an augmentation: at its ``{}``, or after it. A leading "A" becomes "a" (TIME, section 4.1)."""
    inner = "a" + prompt[1:] if prompt.startswith("A") else prompt
    return tidy(template.replace("{}", inner) if "{}" in template else f"{template} {inner}")


def _number(value: Any, name: str, low: float, high: float, low_allowed: bool = True) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise EditError(f"{name} is {value!r}; give a number.") from None
    if not math.isfinite(number) or number > high or number < low or (number == low and not low_allowed):
        rule = f"between {low:g} and {high:g}" if math.isfinite(high) else f"greater than {low:g} and finite"
        raise EditError(f"{name} is {number:g}; give a number {rule}.")
    return number


def _passes(value: Any) -> int:
    number = _number(value, "The number of passes", 0, PASSES_LIMIT)
    if number != int(number):
        raise EditError(f"The number of passes is {number:g}; give a whole number.")
    return int(number)


def check_strength(value: Any) -> float:
    """``value`` as a strength, or an :class:`EditError` when it is no number from -2 to 2."""
    return _number(value, "The strength", -STRENGTH_LIMIT, STRENGTH_LIMIT)


@dataclass(frozen=True, order=True)
class PromptPair:
    """One edit: wherever the model would think of ``source`` it should think of ``destination``.

    An empty ``destination`` forgets the source. ``strength`` moves the target, c + strength (c* - c), and lies between -2
    and 2; 0 is off. ``weight`` (above 0) says how much the pair counts beside the others of a joint solve.
    ``augmentations`` are sentences in which the pair is repeated: a phrase that goes before it, or one with ``{}``.
    """

    source: str
    destination: str
    strength: float = 1.0
    weight: float = 1.0
    augmentations: tuple[str, ...] = DEFAULT_AUGMENTATIONS

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "source", tidy(self.source))
        set_(self, "destination", tidy(self.destination))
        set_(self, "strength", check_strength(self.strength))
        set_(self, "weight", _number(self.weight, "The weight", 0.0, math.inf, low_allowed=False))
        set_(self, "augmentations", tuple(line for line in map(tidy, self.augmentations) if line))
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


@dataclass(frozen=True)
class Recipe:
    """Everything that decides an edit, apart from the text encoder.

    Pairs and preserve prompts are kept sorted and without repetitions, so that the order in which they were given never
    changes the result, not even in the last bit. Prompts to ``preserve`` are weighed against the pairs (see :attr:`kept`);
    those in ``strict`` do not change at all (:mod:`.null_space`). ``regularizer`` says what is held in place: the directions
    that ordinary "captions" use, or the "identity", every direction alike, as TIME has it. After the solve, ``passes`` times,
    what still evokes a source is edited, too (:mod:`.erase`). ``blocks`` limits the edit to some blocks of the model (see
    :func:`~..projections.select`); empty means all. With ``pooled`` the model's pooled embedding is edited, too, where it has
    one (:mod:`.pooled`).
    """

    pairs: tuple[PromptPair, ...]
    preserve: tuple[str, ...] = ()
    regularization: float = DEFAULT_REGULARIZATION
    projections: str = PROJECTION_CHOICES[0]
    blocks: tuple[str, ...] = field(default=())
    regularizer: str = REGULARIZERS[0]
    strict: tuple[str, ...] = ()
    passes: int = 0
    pooled: bool = False

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "pairs", tuple(sorted(set(self.pairs))))
        for name in ("strict", "preserve", "blocks"):
            set_(self, name, tuple(sorted({line for line in map(tidy, getattr(self, name)) if line})))
        set_(self, "preserve", tuple(line for line in self.preserve if line not in self.strict))
        set_(
            self,
            "regularization",
            _number(self.regularization, "The regularization", 0.0, math.inf, low_allowed=False),
        )
        set_(self, "passes", _passes(self.passes))
        if not isinstance(self.pooled, bool):
            raise EditError(f"The recipe's entry “pooled” is {self.pooled!r}; give true or false.")
        for name, known in (("projections", PROJECTION_CHOICES), ("regularizer", REGULARIZERS)):
            if getattr(self, name) not in known:
                choices = ", ".join(f"“{choice}”" for choice in known)
                verb = "are" if name.endswith("s") else "is"
                raise EditError(f"The {name} “{getattr(self, name)}” {verb} not known; choose one of {choices}.")
        if not self.pairs:
            raise EditError("The recipe has no edit; add a line such as: a pack of roses -> a pack of blue roses")

    @property
    def active(self) -> tuple[PromptPair, ...]:
        """The pairs that are not switched off by a strength of 0."""
        return tuple(pair for pair in self.pairs if pair.strength != 0)

    @property
    def sources(self) -> tuple[str, ...]:
        """What the active pairs edit."""
        return tuple(pair.source for pair in self.active)

    def check_active(self) -> None:
        """Raise :class:`EditError` where every pair is switched off."""
        if not self.active:
            raise EditError("Every edit of the recipe has strength 0, so nothing would change; raise a strength.")

    @property
    def kept(self) -> tuple[str, ...]:
        """The prompts to preserve, without those that an active pair edits, by themselves or in an augmentation.

        Both at once would leave either half done. A list of neighbours may well name what another edit of a joint recipe is
        about, so the edit is done, and :func:`~.report.describe` says which prompts were left out.
        """
        edited = self.edited
        return tuple(prompt for prompt in self.preserve if prompt.lower() not in edited)

    @property
    def edited(self) -> frozenset[str]:
        """The sources of active pairs, by themselves and in their augmentations, in lower case."""
        return frozenset(source.lower() for pair in self.active for source, _ in pair.sentences())

    def prompts(self) -> list[str]:
        """Every distinct text that has to be encoded, in a fixed order."""
        texts = [text for pair in self.active for sentence in pair.sentences() for text in sentence]
        return list(dict.fromkeys([*texts, *self.kept, *self.strict]))

    def shares_settings(self, other: Recipe) -> bool:
        """Whether both can be solved together: all settings of the whole recipe are the same."""
        names = ("regularization", "projections", "blocks", "regularizer", "passes", "pooled")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def merge(self, other: Recipe) -> Recipe:
        """Both recipes as one joint recipe. Raises :class:`EditError` when their settings differ."""
        if not self.shares_settings(other):
            raise EditError("Recipes with different regularization or projections cannot be merged; apply them in turn.")
        return replace(
            self,
            pairs=self.pairs + other.pairs,
            preserve=self.preserve + other.preserve,
            strict=self.strict + other.strict,
        )

    def scale(self, strength: float) -> Recipe:
        """The recipe with every strength multiplied. Raises :class:`EditError` when one leaves its limits."""
        return replace(self, pairs=tuple(replace(pair, strength=pair.strength * strength) for pair in self.pairs))

    def to_text(self) -> str:
        """The recipe as lines; :func:`parse_recipe` gives back an equal recipe."""
        lines = []
        if self.regularizer != REGULARIZERS[0]:
            lines.append(f"! regularizer: {self.regularizer}")
        if self.regularization != DEFAULT_REGULARIZATION:
            lines.append(f"! regularization: {self.regularization!r}")
        if self.passes:
            lines.append(f"! passes: {self.passes}")
        if self.projections != PROJECTION_CHOICES[0]:
            lines.append(f"! projections: {self.projections}")
        if self.blocks:
            lines.append("! blocks: " + ", ".join(escape(block) for block in self.blocks))
        if self.pooled:
            lines.append("! pooled: yes")
        augmentations: tuple[str, ...] = DEFAULT_AUGMENTATIONS
        for pair in self.pairs:
            if pair.augmentations != augmentations:
                augmentations = pair.augmentations
                written = " | ".join(map(escape, augmentations)) or "none"
                lines.append("! augmentations: " + ("none |" if augmentations == ("none",) else written))
            line = f"{escape(pair.source)} -> {escape(pair.destination)}".rstrip()
            line += "" if pair.strength == 1 else f" @ {pair.strength!r}"
            line += "" if pair.weight == 1 else f" * {pair.weight!r}"
            lines.append(line)
        lines += [f"= {escape(prompt)}" for prompt in self.preserve]
        lines += [f"== {escape(prompt)}" for prompt in self.strict]
        return "\n".join(lines)

    def to_json(self) -> str:
        """The recipe as JSON; :func:`recipe_from_json` gives back an equal recipe."""
        return json.dumps(asdict(self), ensure_ascii=False)


def recipe_from_json(text: str) -> Recipe:
    """Read what :meth:`Recipe.to_json` wrote. Raises :class:`EditError` on anything else."""
    try:
        data = json.loads(text.removeprefix("\ufeff"))
        pairs = [_from_dict(PromptPair, entry) for entry in data.pop("pairs")]
        recipe: Recipe = _from_dict(Recipe, {**data, "pairs": pairs})
        return recipe
    except EditError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise EditError(f"This is not a recipe in JSON ({error}); export it again.") from error


def _from_dict(cls: Any, data: dict[str, Any]) -> Any:
    known = {entry.name for entry in fields(cls)}
    if unknown := set(data) - known:
        raise EditError(f"The recipe has the unknown entry “{min(unknown)}”; it was made by another version.")
    for name, value in data.items():
        if isinstance(value, list):
            if name != "pairs" and not all(isinstance(item, str) for item in value):
                raise EditError(f"The recipe's entry “{name}” must be a list of texts.")
        elif name in ("preserve", "strict", "blocks", "augmentations"):
            raise EditError(f"The recipe's entry “{name}” must be a list of texts.")
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})


def _parse_pair(line: str, augmentations: tuple[str, ...]) -> PromptPair:
    parts = split(line, (ARROW, "@", "*"))
    marks = [mark for mark, _ in parts]
    if marks.count(ARROW) == 0:
        raise EditError("there is no “->” between a source and a destination")
    if marks.count(ARROW) > 1:
        raise EditError("there are two “->”; write \\-> for an arrow that belongs to a prompt")
    if marks[1] != ARROW:
        raise EditError(f"“{marks[1]}” stands before “->”; write \\{marks[1]} if it belongs to the source")
    numbers = {}
    for mark, text in parts[2:]:
        name = {"@": "strength", "*": "weight"}[mark]
        if name in numbers or not re.fullmatch(NUMBER, text.strip()):
            raise EditError(
                f"“{mark}{text.rstrip()}” is not understood; write “@ 0.5” for a strength, “* 2” for a weight, "
                f"or \\{mark} if it belongs to the destination"
            )
        numbers[name] = float(text)
    return PromptPair(parts[0][1], parts[1][1], augmentations=augmentations, **numbers)


def _parse_preserve(mark: str, rest: str) -> str:
    (_, prompt), *others = split(rest, (ARROW,))
    if others:
        raise EditError(f"“{mark}” preserves a prompt and “->” edits one; write \\= or \\-> for what belongs to the text")
    if not (prompt := tidy(prompt)):
        raise EditError(f"there is no prompt to preserve after “{mark}”")
    return prompt


_SETTINGS = ("augmentations", "regularizer", "regularization", "passes", "projections", "blocks", "pooled")


def _parse_setting(line: str) -> tuple[str, Any]:
    name, colon, value = line.partition(":")
    name = tidy(name)
    if not colon or name not in _SETTINGS:
        raise EditError(f"a line with “!” sets {', '.join(_SETTINGS[:-1])} or {_SETTINGS[-1]}, such as: ! blocks: mid")
    if name == "augmentations":
        lines = tuple(tidy(text) for _, text in split(value, ("|",)))
        return name, () if lines == ("none",) else lines
    value = tidy(split(value)[0][1])
    if name == "regularization":
        return name, _number(value, "The regularization", 0.0, math.inf, low_allowed=False)
    if name == "passes":
        return name, _passes(value)
    if name == "pooled":
        if value not in ("yes", "no"):
            raise EditError(f"pooled is “{value}”; write yes or no")
        return name, value == "yes"
    return name, tuple(value.split(",")) if name == "blocks" else value


def parse_recipe(text: str, **defaults: Any) -> Recipe:
    """Read the text form.

    ``defaults`` are fields of :class:`Recipe`, or ``augmentations``, for whatever the text itself does not set. Raises
    :class:`EditError` that names every bad line by its number and says what is wrong with it.
    """
    settings: dict[str, Any] = {"augmentations": DEFAULT_AUGMENTATIONS, **defaults}
    whole: dict[str, Any] = {}
    pairs: list[PromptPair] = []
    kept = {"=": list(settings.pop("preserve", ())), "==": list(settings.pop("strict", ()))}

    def read(line: str) -> None:
        mark, rest = kind_of(line)
        if mark == "!":
            name, value = _parse_setting(rest)
            if name == "augmentations":
                settings[name] = value
            else:
                set_once(whole, name, value)
        elif mark:
            kept[mark].append(_parse_preserve(mark, rest))
        else:
            pairs.append(_parse_pair(line, settings["augmentations"]))

    read_lines(text, read)
    settings.pop("augmentations")
    return Recipe(pairs=tuple(pairs), preserve=tuple(kept["="]), strict=tuple(kept["=="]), **{**settings, **whole})


def preserve_from_lines(text: str, box: str = "preserve") -> dict[str, tuple[str, ...]]:
    """A text box of prompts to keep, one a line, as fields of :class:`Recipe`: those behind "==" are kept strictly.

    Raises:
        EditError: lines that are no prompts, named by number; ``box`` is what they are called.
    """
    kept: dict[str, list[str]] = {"=": [], "==": []}

    def read(line: str) -> None:
        mark, rest = kind_of(line)
        if mark in kept:
            kept[mark].append(_parse_preserve(mark, rest))
        else:
            kept["="].append(text_of(line))

    read_lines(text, read, box)
    return {"preserve": tuple(kept["="]), "strict": tuple(kept["=="])}


def augmentations_from_lines(text: str) -> tuple[str, ...]:
    """A text box of augmentations, one a line; none for the line "none", as in a recipe. Raises :class:`EditError`."""
    phrases = tuple(phrase_lines(text, "augmentations"))
    return () if phrases == ("none",) else phrases


def recipe_from_lines(
    sources: str,
    destinations: str,
    strength: float = 1.0,
    augmentations: Iterable[str] = DEFAULT_AUGMENTATIONS,
    **settings: Any,
) -> Recipe:
    """A recipe from two text boxes, one prompt per line: the first source answers to the first destination, and so on.

    An empty destination line, be it the first or the last, forgets its source; a destination box left empty forgets every
    source. Raises :class:`EditError` when the lines do not pair up.
    """
    left = read_lines(sources, text_of, "the source", empty=True)
    right = read_lines(destinations, text_of, "the destination", empty=True)
    if not any(right):
        right = [""] * len(left)
    _trim(right, len(left))
    _trim(left, len(right))
    if len(left) != len(right):
        raise EditError(
            f"The source has {len(left)} line(s) and the destination has {len(right)}; "
            "write one destination line for each source line, an empty one to forget it."
        )
    augmentations = tuple(augmentations)
    pairs = [
        PromptPair(source, destination, strength, augmentations=augmentations)
        for source, destination in zip(left, right, strict=True)
        if source or destination
    ]
    return Recipe(pairs=tuple(pairs), **settings)


def _trim(lines: list[str], count: int) -> None:
    """Take empty lines from the end, then from the beginning, until there are ``count``."""
    for place in (-1, 0):
        while len(lines) > count and not lines[place]:
            lines.pop(place)
