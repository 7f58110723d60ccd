"""What was asked of a text encoder, and how: everything that decides a concept edit apart from the encoder itself.

As text, it is lines of concepts (:mod:`.concept_lines`), and lines of settings that hold for all of them: ``! mode: full``,
``! regularization: 0.2``, ``! templates: a photo of {} | {}``, ``! layers: 7, 8``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import EditError
from ..lines import escape, kind_of, set_once, split, tidy
from .concept_lines import TEMPLATES, Concept, Variant, parse_concepts

DEFAULT_REGULARIZATION = 0.5
MODES = ("attention", "text", "full")
"""Stage one by what the diffusion model's cross-attention layers make of the text, by the text alone, or by the whole model's
predictions on pictures; the first is the default."""


@dataclass(frozen=True)
class ConceptRecipe:
    """Concepts and settings.

    Args:
        concepts: what is asked, no source twice.
        regularization: how strongly ordinary captions are held in place, per number that an MLP output matrix reads: the
            lambda of :mod:`.update` is this times that width.
        templates: sentences with ``{}`` for the concept.
        layers: to edit; empty for those that :func:`~.tower.default_layers` names.
        mode: one of :data:`MODES`; all but "text" need a diffusion model.
    """

    concepts: tuple[Concept, ...]
    regularization: float = DEFAULT_REGULARIZATION
    templates: tuple[str, ...] = TEMPLATES
    layers: tuple[int, ...] = ()
    mode: str = MODES[0]

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "templates", tuple(line for line in map(tidy, self.templates) if line))
        set_(self, "layers", tuple(sorted(set(self.layers))))
        if not self.concepts:
            raise EditError("There is no concept; add a line such as: tench -> goldfish")
        sources = [concept.source.lower() for concept in self.concepts]
        if len(set(sources)) < len(sources):
            raise EditError("A concept stands there twice; leave one of its lines out.")
        if not (isinstance(self.regularization, (int, float)) and 0 < self.regularization < math.inf):
            raise EditError(f"The regularization is {self.regularization!r}; give a number greater than 0.")
        if not self.templates or any("{}" not in line for line in self.templates):
            raise EditError("Every template needs {} where the concept belongs, such as: a photo of {}")
        if self.mode not in MODES:
            raise EditError(f"The mode “{self.mode}” is not known; choose one of {', '.join(MODES)}.")

    @property
    def searched(self) -> tuple[Concept, ...]:
        """What stage one finds a value for: each concept, a debiased one once for each variant."""
        return tuple(meaning for concept in self.concepts for meaning in concept.meanings)

    @property
    def written(self) -> tuple[Concept, ...]:
        """What stage two writes: each concept once, a debiased one as its first variant's."""
        return tuple(concept.meanings[0] for concept in self.concepts)

    def to_text(self) -> str:
        """As lines; :func:`parse_concept_recipe` gives back an equal recipe.

        The mode always stands there: it says what was asked, and that these are not the lines of a
        :class:`~..assumptions.recipe.Recipe`.
        """
        lines = [f"! mode: {self.mode}"]
        if self.regularization != DEFAULT_REGULARIZATION:
            lines.append(f"! regularization: {self.regularization!r}")
        if self.templates != TEMPLATES:
            lines.append("! templates: " + " | ".join(map(escape, self.templates)))
        if self.layers:
            lines.append("! layers: " + ", ".join(map(str, self.layers)))
        lines += [concept.to_text() for concept in self.concepts]
        return "\n".join(lines)

    def to_json(self) -> str:
        """For the edit file."""
        data = asdict(self)
        data["concepts"] = [
            {name: entry for name, entry in own.items() if name in ("source", "destination") or entry}
            for own in data["concepts"]
        ]
        return json.dumps(data, ensure_ascii=False)


def layers_from_text(text: str) -> tuple[int, ...]:
    """Layers as people write them, "7, 8, 9". Raises :class:`EditError` where they are no numbers."""
    try:
        return tuple(sorted({int(part) for part in text.replace(",", " ").split()}))
    except ValueError:
        raise EditError(f"The layers “{text}” are not understood; write numbers such as: 7, 8, 9, 10") from None


_SETTINGS = ("mode", "regularization", "templates", "layers")


def _parse_setting(line: str) -> tuple[str, Any]:
    name, colon, value = kind_of(line)[1].partition(":")
    name = tidy(name)
    if not colon or name not in _SETTINGS:
        raise EditError(f"a line with “!” sets {', '.join(_SETTINGS[:-1])} or {_SETTINGS[-1]}, such as: ! mode: full")
    if name == "templates":
        return name, tuple(tidy(text) for _, text in split(value, ("|",)))
    value = tidy(split(value)[0][1])
    if name == "layers":
        return name, layers_from_text(value)
    if name == "regularization":
        try:
            return name, float(value)
        except ValueError:
            raise EditError(f"the regularization is “{value}”; give a number greater than 0") from None
    return name, value


def parse_concept_recipe(text: str, **defaults: Any) -> ConceptRecipe:
    """Read the text form.

    Args:
        text: lines of concepts and settings.
        defaults: fields of :class:`ConceptRecipe` for whatever the text itself does not set.

    Raises:
        EditError: lines that are not understood, named by number, no concept, or a setting that cannot be.
    """
    settings: dict[str, Any] = {}
    concepts = parse_concepts(text, lambda line: set_once(settings, *_parse_setting(line)))
    return ConceptRecipe(concepts, **{**defaults, **settings})


def _concept(entry: Mapping[str, Any]) -> Concept:
    variants = tuple(Variant(own["text"], own["part"]) for own in entry.get("variants", ()))
    marks = {name: bool(entry.get(name)) for name in ("pictures", "everywhere")}
    return Concept(entry["source"], entry["destination"], variants, **marks)


def concept_recipe_from_json(text: str) -> ConceptRecipe:
    """Read what :meth:`ConceptRecipe.to_json` wrote. Raises :class:`EditError` where it is something else."""
    try:
        data: dict[str, Any] = json.loads(text)
        return ConceptRecipe(
            concepts=tuple(map(_concept, data["concepts"])),
            regularization=data["regularization"],
            templates=tuple(data["templates"]),
            layers=tuple(map(int, data["layers"])),
            mode=data["mode"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EditError(f"the list of concepts cannot be read ({error})") from error
