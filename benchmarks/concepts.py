"""Concept edits beside the same algorithm as released, on the pocket model: ``python -m benchmarks.concepts``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from edit_assumption.console import plain_output, run
from edit_assumption.editing.concepts.concepts import Concept
from edit_assumption.editing.concepts.edit import ConceptEdit, write_concept_values
from edit_assumption.editing.concepts.recipe import MODES, ConceptRecipe
from edit_assumption.editing.concepts.tower import layers_of
from edit_assumption.editing.concepts.update import solve_layer
from edit_assumption.editing.concepts.values import Values, ValueSettings
from edit_assumption.pipelines.asked import POCKET_TEMPLATES
from edit_assumption.pipelines.concepts import concept_values, edited_text, statistics_of, text_encoders
from edit_assumption.pipelines.generate import generate
from edit_assumption.pocket.captions import ordinary_captions
from edit_assumption.pocket.judge import load_judge
from edit_assumption.pocket.model import pipeline
from edit_assumption.pocket.words import ALL

from . import concepts_reference as reference
from .rows import Row, markdown
from .timing import alternate, readable, seconds

_SEEDS = (1, 2, 3, 4)
_TOGETHER, _KEY_WIDTH, _WIDTH = 300, 3072, 768
_AIM = 5.0


def _concepts(count: int) -> tuple[Concept, ...]:
    names = list(ALL)
    half = len(names) // 2
    return tuple(Concept(a, b) for a, b in zip(names[:half], names[half:], strict=False))[:count]


class _Bench:
    def __init__(self, count: int) -> None:
        self.pipe, self.judge, self.concepts = pipeline(), load_judge(), _concepts(count)
        self.pipe.unet.requires_grad_(False)
        self.pipe.text_encoder.requires_grad_(False)
        self.encoders = text_encoders(self.pipe)
        self.recipe = ConceptRecipe(self.concepts, templates=POCKET_TEMPLATES)
        self.statistics = statistics_of(self.recipe, self.encoders, ordinary_captions())
        self.layer = layers_of(self.encoders[0].tower, ())[-1]

    def efficacy(self, values: Values) -> float:
        """Share of pictures of the sources that show the destination, all concepts edited together."""
        name = self.encoders[0].name
        edit: ConceptEdit = write_concept_values(self.recipe, self.encoders, self.statistics, {name: values})
        prompts = [f"a {concept.source}" for concept in self.concepts for _ in _SEEDS]
        wanted = [concept.destination for concept in self.concepts for _ in _SEEDS]
        with edited_text(self.pipe, edit):
            images = generate(self.pipe, prompts, list(_SEEDS) * len(self.concepts))
        shown = [answer["thing"] for answer in self.judge.answers(images)]
        return sum(a == b for a, b in zip(shown, wanted, strict=True)) / len(wanted)

    def ours(self, mode: str) -> Values:
        """All concepts in batches, with early stopping."""
        recipe = ConceptRecipe(self.concepts, templates=POCKET_TEMPLATES, mode=mode)
        return concept_values(self.pipe, recipe, self.encoders, ValueSettings.for_mode(mode))[self.encoders[0].name]

    def released(self) -> Values:
        """One concept after the other, every step of each."""
        settings, shifts = ValueSettings(), []
        for concept in self.concepts:
            with torch.no_grad():
                pictures = generate(self.pipe, [f"a {concept.destination}"] * 4, _SEEDS)
                latents = self.pipe.vae.encode(pictures).latent_dist.mean * self.pipe.vae.config.scaling_factor
            shifts.append(
                reference.value(self.pipe, concept, POCKET_TEMPLATES, self.layer, latents, settings.rate, settings.clamp)
            )
        ones = torch.ones(len(shifts))
        return Values(torch.stack(shifts), ones, ones, ones.long() * reference.STEPS)


def stage_one(count: int) -> list[Row]:
    """Seconds for each concept and what the pictures show, ours in each mode against the released one."""
    bench, found = _Bench(count), {}
    runs: Sequence[tuple[str, Any]] = (
        ("as released", bench.released), *((mode, partial(bench.ours, mode)) for mode in MODES),
    )  # fmt: skip
    times = {name: seconds(lambda run=run, name=name: found.update({name: run()})) / len(bench.concepts) for name, run in runs}
    shares = {name: bench.efficacy(values) for name, values in found.items()}
    rows = []
    for name in MODES:
        ratio = times["as released"] / times[name]
        details = (
            f"{readable(times[name])} a concept against {readable(times['as released'])}; destination shown in "
            f"{100 * shares[name]:.0f} % against {100 * shares['as released']:.0f} %; {len(bench.concepts)} concepts"
        )
        row = Row(f"stage one, mode {name}, against one by one as released", ratio, "×", details)
        if name == MODES[0]:  # the default
            met = ratio >= _AIM and shares[name] >= shares["as released"]
            row = replace(row, target="≥ 5×, as good", met=met)
        rows.append(row)
    return rows


def stage_two(quick: bool) -> list[Row]:
    """The solve of a layer of CLIP-L's size for 300 concepts."""
    generator = torch.Generator().manual_seed(0)
    count = _TOGETHER // 3 if quick else _TOGETHER
    keys, residual = (torch.randn(count, width, generator=generator) for width in (_KEY_WIDTH, _WIDTH))
    half = torch.randn(_KEY_WIDTH, 2 * _KEY_WIDTH, generator=generator)
    moment = (half @ half.T / half.shape[1]).double()
    up, down = solve_layer(keys, residual, moment, 100.0)
    direct = reference.write(keys, residual, moment, 100.0)
    apart = float((up @ down - direct).norm() / direct.norm())
    ours, theirs = alternate(
        2, lambda: solve_layer(keys, residual, moment, 100.0), lambda: reference.write(keys, residual, moment, 100.0), warm=True
    )
    details = f"{readable(ours)} against {readable(theirs)} a layer; {count} concepts, {apart:.0e} apart"
    return [Row("stage two, one layer of CLIP-L, against the square system", theirs / ours, "×", details)]


def main() -> int:
    """Parse the command line, measure, print."""
    plain_output()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concepts", description="Times concept edits.")
    parser.add_argument("--concepts", type=int, default=12, metavar="N", help="for stage one")
    parser.add_argument("--quick", action="store_true", help="a third of the concepts in stage two")
    options = parser.parse_args()
    return run(lambda: markdown([*stage_one(options.concepts), *stage_two(options.quick)]))


if __name__ == "__main__":
    sys.exit(main())
