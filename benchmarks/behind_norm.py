"""Edits of text that is read behind a norm: solved on an encoder's rows or on unit rows, put on the text or on the weights.

python -m edit_assumption.benchmarks.behind_norm

On the bundled model's text encoder without its own last norm, as most language models are read. Counted is what the layer
behind the norm reads: what is left between an edited prompt and the one that its destination says, and how far others move.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from ..editing.alignment import align
from ..editing.assumptions.behind_norm import unit_rows
from ..editing.assumptions.edit import make_edit
from ..editing.assumptions.moments import KnownMoment, read_known
from ..editing.assumptions.recipe import parse_recipe
from ..editing.assumptions.rows_read import RowsRead
from ..editing.encoding import EncodedPrompt
from ..editing.known_texts import KnownTexts
from ..editing.vocabulary import whole_words
from ..evaluation.suite import SuiteEdit, pocket_suite
from ..pipelines.pipeline_encoder import PipelineEncoder
from ..pocket.captions import captions_for
from ..pocket.model import pipeline

WAYS = ("rows, on the text", "unit rows, on the text", "unit rows, on the weights")
_LAST, _WORDS, _AT_ONCE = -1, 1000, 64


class BeforeNorm(PipelineEncoder):
    """The bundled model's encoder, its rows as they are before the last norm; each prompt once."""

    def __init__(self) -> None:
        super().__init__(pipeline())
        self.known: dict[str, EncodedPrompt] = {}

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """The prompts, encoded."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self.known]
        for start in range(0, len(new), _AT_ONCE):
            part = new[start : start + _AT_ONCE]
            ids = torch.tensor([tokens.ids for tokens in self.tokenize(part)])
            rows = self.text(ids, output_hidden_states=True).hidden_states[_LAST]
            self.known |= {
                text: replace(prompt, embeddings=own.clone())
                for text, prompt, own in zip(part, super().__call__(part), rows, strict=True)
            }
        return [self.known[prompt] for prompt in prompts]


def moments(encode: BeforeNorm, words: int = _WORDS) -> dict[int, KnownMoment]:
    """Of the rows, 0, and of the unit rows, 1."""
    known = KnownTexts(captions_for(128), whole_words(encode.tokenizer.get_vocab())[:words])
    return {norms: read_known(RowsRead(norms).encode(encode), known) for norms in (0, 1)}


def measured(encode: BeforeNorm, edits: Iterable[SuiteEdit], known: dict[int, KnownMoment]) -> dict[tuple[str, str], float]:
    """(Way, kind of prompt) to what is left, or how far prompts move that ought to stay; relative (Frobenius)."""
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for edit in edits:
        recipe = parse_recipe(f"{edit.source} -> {edit.destination}")
        maps = [make_edit(recipe, RowsRead(norms).encode(encode), moment=known[norms]).context_map for norms in (0, 1)]
        for kind, questions in edit.measures.items():
            for question in questions:
                prompt, oracle = encode([question.prompt, question.oracle])
                rows, answers = prompt.embeddings, unit_rows(oracle.embeddings, 1)[list(align(prompt, oracle))]
                units = unit_rows(rows, 1)
                asked = units if kind == "specificity" else answers - units
                read = unit_rows(maps[0].apply(rows), 1), unit_rows(maps[1].apply(units), 1), maps[1].apply(units)
                for way, found in zip(WAYS, read, strict=True):
                    for place, part in enumerate((found - answers, asked)):
                        sums[way, kind][place] += float(part.square().sum())
    return {name: (left / whole) ** 0.5 for name, (left, whole) in sums.items()}


def main() -> None:
    """Print the table."""
    encode = BeforeNorm()
    edits = [edit for edit in pocket_suite() if edit.split == "validation"]
    found = measured(encode, edits, moments(encode))
    lines = [
        "| solved on | left of the edit itself | left of related prompts | unrelated prompts move |",
        "|---|---:|---:|---:|",
    ]
    for way in WAYS:
        numbers = " | ".join(f"{found[way, kind]:.3f}" for kind in ("efficacy", "generality", "specificity"))
        lines.append(f"| {way} | {numbers} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
