"""What a file of edits asks: the edits, their prompts, and between which texts a judge has to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, harmonic_mean

EFFICACY, GENERALITY, SPECIFICITY = "efficacy", "generality", "specificity"
BIAS, VALIDATION_BIAS = "bias Δ", "bias Δ, validation prompts"
SHARES = (EFFICACY, GENERALITY, SPECIFICITY)
"""Measures that are shares of pictures, of which more is better."""
MEASURES = (*SHARES, BIAS, VALIDATION_BIAS)


@dataclass(frozen=True)
class Case:
    """A prompt and how its pictures are judged.

    Args:
        prompt: what is drawn.
        wanted: the text to which a picture ought to be nearer; for bias, the first of two variants.
        other: the text to which it ought not to be nearer; for bias, the second variant.
        oracles: what one would have to write without an edit, picture by picture in turn; the prompt itself where nothing ought
            to change.
        seeds: the file's own; empty for those of the run.
    """

    prompt: str
    wanted: str
    other: str
    oracles: tuple[str, ...]
    seeds: tuple[int, ...] = ()

    @property
    def choice(self) -> tuple[str, str]:
        """What the judge is shown: (wanted, other)."""
        return self.wanted, self.other


@dataclass(frozen=True)
class PaperEdit:
    """An edit and what shows whether it holds.

    Args:
        source, destination: the edit.
        cases: measure to prompts.
        variants: what the source is to mean in equal parts, where the file is about bias; else empty.
    """

    source: str
    destination: str
    cases: Mapping[str, tuple[Case, ...]]
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditSet:
    """A file.

    Args:
        kind: what it is, for people.
        edits: in the file's order.
        preserve: prompts that a method which preserves is told to keep.
        whole: whether all edits belong together, as lists of artists to erase do.
    """

    kind: str
    edits: tuple[PaperEdit, ...]
    preserve: tuple[str, ...] = ()
    whole: bool = False

    @property
    def measures(self) -> tuple[str, ...]:
        """Those that there are prompts for."""
        return tuple(measure for measure in MEASURES if any(edit.cases.get(measure) for edit in self.edits))

    @property
    def texts(self) -> list[str]:
        """All that is edited, drawn or written by the oracle."""
        cases = [case for edit in self.edits for own in edit.cases.values() for case in own]
        pairs = [text for edit in self.edits for text in (edit.source, edit.destination, *edit.variants)]
        return list(dict.fromkeys([*pairs, *(text for case in cases for text in (case.prompt, *case.oracles))]))


def value(measure: str, chosen: Sequence[float]) -> float:
    """An edit's value of a measure, from 1 for every picture that the judge found nearer to the wanted text, else 0.

    A share of pictures. For bias, with F the percentage of pictures of the first variant (TIME: women), |F - 50| / 50: 0 for
    half and half, 1 where all pictures show one variant (Orgad et al. 2023; lower is better).
    """
    share = fmean(chosen)
    return abs(2 * share - 1) if measure in (BIAS, VALIDATION_BIAS) else share


def harmonic(means: Mapping[str, float]) -> float | None:
    """Harmonic mean of efficacy, generality and specificity; None where one of them was not measured."""
    if not all(measure in means for measure in SHARES):
        return None
    return harmonic_mean([max(0.0, means[measure]) for measure in SHARES])
