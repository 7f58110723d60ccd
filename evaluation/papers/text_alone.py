"""What methods do to the text, with no picture drawn: only the text encoder is needed.

With c the embeddings of a prompt, c* those of the oracle's, token by token (:func:`~...editing.alignment.align`), and x what
the model reads with the edit on (M c, or what the edited text encoder gives), all in Frobenius norms:

* efficacy, generality: 1 - ||x - c*|| / ||c - c*||: the share of the way to the oracle's embeddings, 1 for all of it;
* specificity: 1 - ||x - c|| / l, with l = ||c* - c|| of the edit's own source: 1 where an unrelated prompt stays, 0 where it
  moves as far as the source was to move;
* bias: |2 t - 1|, with t = <x - b, a - b> / ||a - b||^2 the place of x between both variants a and b: 0 in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch

from ...editing.alignment import align
from ...editing.encoding import EncodedPrompt
from ...pipelines.text_encoding import encoder_of
from .edit_set import SHARES, SPECIFICITY, Case, PaperEdit
from .paper_methods import PaperMethod
from .run import Group
from .scores import PaperScores

_LEAST = 1e-9
"""Below this part of a prompt's length, two texts are one to the encoder."""


class TextAlone:
    """Scores methods from text.

    Args:
        pipe: a pipeline; its text encoders are enough.
    """

    def __init__(self, pipe: Any) -> None:
        self.pipe, self.encode = pipe, encoder_of(pipe)
        self._known: dict[str, EncodedPrompt] = {}

    def _read(self, prompts: Sequence[str]) -> Mapping[str, EncodedPrompt]:
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        if missing:
            self._known |= dict(zip(missing, self.encode(missing), strict=True))
        return self._known

    def _answers(self, prompt: str, oracle: str) -> torch.Tensor:
        """The oracle's embedding for each token of a prompt, (tokens, width)."""
        known = self._read([prompt, oracle])
        return known[oracle].embeddings[align(known[prompt], known[oracle])].double()

    def score(self, methods: Sequence[PaperMethod], groups: Sequence[Group]) -> list[PaperScores]:
        """A row for each method and count, its values in the order of the edits."""
        rows = {}
        for group in groups:
            for method in methods:
                row = rows.setdefault((group.together, method.name), PaperScores(method.name, group.together))
                for values in self.score_group(method, group.edits, list(group.drawn.values())):
                    for measure, own in values.items():
                        row.values.setdefault(measure, []).append(own)
        return list(rows.values())

    def score_group(
        self, method: PaperMethod, together: Sequence[PaperEdit], drawn: Sequence[PaperEdit]
    ) -> list[dict[str, float]]:
        """Measure to value for each of the drawn edits, with all of the group in the model."""
        cases = [case for edit in drawn for own in edit.cases.values() for case in own]
        prompts = list(dict.fromkeys(case.prompt for case in cases))
        self._read([*prompts, *(text for case in cases for text in case.oracles)])
        if method.oracle:
            moved = {}
        else:
            read = method.encode(self.pipe, together, prompts)
            moved = {prompt: encoded.embeddings.double() for prompt, encoded in zip(prompts, read, strict=True)}
        scored = []
        for edit in drawn:
            length = float((self._answers(edit.source, edit.destination) - self._plain(edit.source)).norm())
            told = {}
            for measure, own in edit.cases.items():
                values = [self._value(measure, case, moved, length) for case in own]
                told[measure] = [value for value in values if value is not None]
            scored.append({measure: fmean(values) for measure, values in told.items() if values})
        return scored

    def _plain(self, prompt: str) -> torch.Tensor:
        return self._read([prompt])[prompt].embeddings.double()

    def _value(self, measure: str, case: Case, moved: Mapping[str, torch.Tensor], length: float) -> float | None:
        """A prompt's; None where the encoder knows no difference that could be measured by."""
        plain = self._plain(case.prompt)
        oracles = [self._answers(case.prompt, text) for text in case.oracles]
        if measure not in SHARES:
            first, second = oracles
            x = (first + second) / 2 if not moved else moved[case.prompt]
            return _between(x, first, second)
        x = moved.get(case.prompt, oracles[0])
        if measure == SPECIFICITY:
            return 1 - float((x - plain).norm()) / length if length > _LEAST * float(plain.norm()) else None
        whole = float((plain - oracles[0]).norm())
        return 1 - float((x - oracles[0]).norm()) / whole if whole > _LEAST * float(plain.norm()) else None


def _between(x: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> float | None:
    axis = first - second
    length = float(axis.square().sum())
    return abs(2 * float(((x - second) * axis).sum()) / length - 1) if length > 0 else None
