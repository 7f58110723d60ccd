"""Concept edits beside EMCID as released and a plain loop, on the pocket model: ``edit-assumption bench concepts``.

What is released and where the three differ is in :mod:`.concepts_reference`; it is printed below the rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ..console import plain_output, run
from ..editing.concepts.concept_edit import write_concept_values
from ..editing.concepts.concept_lines import Concept
from ..editing.concepts.concept_recipe import MODES, ConceptRecipe
from ..editing.concepts.tower import layers_of
from ..editing.concepts.update import solve_layer
from ..editing.concepts.values import Values, ValueSettings
from ..pipelines.command_inputs import POCKET_TEMPLATES
from ..pipelines.generate import generate
from ..pipelines.pipeline_concepts import concept_values, edited_text, statistics_of, text_encoders
from ..pocket.captions import ordinary_captions
from ..pocket.judge import load_judge
from ..pocket.model import pipeline
from ..pocket.words import ALL
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


class _Timed:
    def __init__(self, count: int) -> None:
        self.pipe, self.judge, self.concepts = pipeline(), load_judge(), _concepts(count)
        self.pipe.unet.requires_grad_(False)
        self.pipe.text_encoder.requires_grad_(False)
        self.encoders = text_encoders(self.pipe)
        self.recipe = ConceptRecipe(self.concepts, templates=POCKET_TEMPLATES)
        self.layer = layers_of(self.encoders[0].tower, ())[-1]
        self.released_layers = tuple(range(self.encoders[0].tower.depth - 1))

    def shown(self, edited: AbstractContextManager[None]) -> float:
        """Share of pictures of the sources that show the destination, all concepts edited together."""
        prompts = [f"a {concept.source}" for concept in self.concepts for _ in _SEEDS]
        wanted = [concept.destination for concept in self.concepts for _ in _SEEDS]
        with edited:
            images = generate(self.pipe, prompts, list(_SEEDS) * len(self.concepts))
        shown = [answer["thing"] for answer in self.judge.answers(images)]
        return sum(a == b for a, b in zip(shown, wanted, strict=True)) / len(wanted)

    def written(self, values: Values, layers: Sequence[int] = ()) -> AbstractContextManager[None]:
        """Values in the encoder by our second stage."""
        recipe = replace(self.recipe, layers=tuple(layers))
        statistics = statistics_of(recipe, self.encoders, ordinary_captions())
        edit = write_concept_values(recipe, self.encoders, statistics, {self.encoders[0].name: values})
        return edited_text(self.pipe, edit)

    def ours(self, mode: str) -> Values:
        """All concepts in batches."""
        recipe = replace(self.recipe, mode=mode)
        return concept_values(self.pipe, recipe, self.encoders, ValueSettings.for_mode(mode))[self.encoders[0].name]

    def _latents(self, concept: Concept) -> torch.Tensor:
        with torch.no_grad():
            pictures = generate(self.pipe, [f"a {concept.destination}"] * 4, _SEEDS)
            return self.pipe.vae.encode(pictures).latent_dist.mean * self.pipe.vae.config.scaling_factor

    def plain(self) -> Values:
        """One concept after the other, every step of each."""
        settings = ValueSettings()
        return _values(
            reference.value(
                self.pipe, concept, POCKET_TEMPLATES, self.layer, self._latents(concept), settings.rate, settings.clamp
            )
            for concept in self.concepts
        )

    def released(self) -> tuple[torch.Tensor, Values]:
        """Each concept's stream before its shift, (concepts, width), and the shifts."""
        last = self.released_layers[-1]
        searched = [
            reference.released_value(self.pipe, concept, POCKET_TEMPLATES, last, self._latents(concept))
            for concept in self.concepts
        ]
        begun, shifts = zip(*searched, strict=True)
        return torch.stack(begun), _values(shifts)

    def released_shown(self, begun: torch.Tensor, values: Values) -> tuple[float, float]:
        """By its own second stage, and by ours in the same layers."""
        own = reference.released_write(
            self.pipe, self.concepts, POCKET_TEMPLATES, begun + values.shifts, ordinary_captions(), self.released_layers
        )
        return self.shown(own), self.shown(self.written(values, self.released_layers))


def _values(shifts: Iterable[torch.Tensor]) -> Values:
    stacked = torch.stack(list(shifts))
    ones = torch.ones(len(stacked))
    return Values(stacked, ones, ones, ones.long() * reference.STEPS)


def stage_one(count: int) -> list[Row]:
    """Seconds for each concept and what the pictures show: ours in each mode, a plain loop, and the release.

    The yardstick is the plain loop, in time and in pictures. The release stands beside it, at other settings, with its own
    pictures: of 48, one more or less is two in a hundred.
    """
    compared, results = _Timed(count), {}
    runs: Mapping[str, Callable[[], Any]] = {
        "plain": compared.plain, "released": compared.released, **{mode: partial(compared.ours, mode) for mode in MODES},
    }  # fmt: skip

    def timed(name: str) -> float:
        return seconds(lambda: results.update({name: runs[name]()})) / count

    times = {name: timed(name) for name in runs}
    shares = {name: compared.shown(compared.written(values)) for name, values in results.items() if name != "released"}
    own, by_ours = compared.released_shown(*results["released"])
    reached = f"destination shown in {100 * own:.0f} %, {100 * by_ours:.0f} % where our second stage writes its values"
    rows = [
        Row("stage one, EMCID as released", times["released"], "s a concept", f"{reached}; {count} concepts"),
        Row("stage one, a plain loop with our settings", times["plain"], "s a concept",
            f"destination shown in {100 * shares['plain']:.0f} %; {count} concepts"),
    ]  # fmt: skip
    for mode in MODES:
        ratio = times["plain"] / times[mode]
        details = f"{readable(times[mode])} a concept; destination shown in {100 * shares[mode]:.0f} %; {count} concepts"
        row = Row(f"stage one, mode {mode}, against the plain loop", ratio, "×", details)
        if mode != "text":  # which asks no diffusion model
            met = ratio >= _AIM and shares[mode] >= shares["plain"]
            row = replace(row, target=f"≥ {_AIM:g}×, in at least the plain loop's pictures", met=met)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print."""
    plain_output()
    parser = argparse.ArgumentParser(prog="edit-assumption bench concepts", description="Times concept edits.")
    parser.add_argument("--concepts", type=int, default=12, metavar="N", help="for stage one")
    parser.add_argument("--quick", action="store_true", help="a third of the concepts in stage two")
    options = parser.parse_args(arguments)
    return run(lambda: _table(options.concepts, options.quick))


def _table(count: int, quick: bool) -> str:
    """All rows, and what differs between the methods."""
    notes = "\n".join(f"- {note}" for note in reference.NOTES)
    return f"{markdown([*stage_one(count), *stage_two(quick)])}\n\n{notes}"
