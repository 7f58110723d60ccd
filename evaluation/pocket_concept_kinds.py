"""Other kinds of concept edits than updates, on the pocket model:
``edit-assumption measure kinds``.

* debias: all roles at once, half with a hat and half without, by the text encoder and by cross-attention's projections;
* teach: names that are to mean something else, by a few pictures of it alone, and led by words;
* erase: names that are forgotten, as usual and everywhere, and what the rest loses;
* mixed: an update, an alias, and one of each of these in one recipe.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from ..console import plain_output, run
from ..editing.assumptions.debias import debias_recipe
from ..editing.assumptions.edit import make_edit
from ..editing.assumptions.recipe import Recipe
from ..editing.concepts.balance import balance
from ..editing.concepts.concept_edit import write_concept_values
from ..editing.concepts.concept_lines import Concept, Variant
from ..editing.concepts.concept_recipe import ConceptRecipe
from ..editing.shares import Wanted, tune_together
from ..pipelines.command_inputs import POCKET_TEMPLATES
from ..pipelines.edited_projections import edited_projections
from ..pipelines.generate import generate
from ..pipelines.pipeline_concepts import concept_values, edited_text, statistics_of, text_encoders
from ..pipelines.pipeline_encoder import PipelineEncoder
from ..pocket import WEIGHTS
from ..pocket.captions import HAT_PHRASES, ordinary_captions
from ..pocket.judge import load_judge
from ..pocket.model import pipeline
from ..pocket.names import NAMES, Named, captions_with_names
from ..pocket.scenes import Scene, draw_scene, random_scene
from ..pocket.words import ALL, HATS, ROLES

PARTS = ("debias", "teach", "erase", "mixed")
_TAUGHT = {
    "zopin": Named("fish", "green"),
    "nimib": Named("cup", "red"),
    "gonat": Named("tree", "pink"),
    "dozud": Named("dog", "blue"),
}
"""Name to what its pictures show, which is not what it stood for."""
_ERASED = tuple(NAMES)[10:16]
_KEPT = (*tuple(NAMES)[100:116], *ALL)
_PICTURES = 6
_SENTENCES = ("a {}", "look at a {}", "there is a {} in a field", "a drawing of a {} on a beach")
_ROUND_SEEDS = 10_000
"""The seeds of rounds begin here, apart from those that are measured on."""


class Kinds:
    """Makes edits of the pocket model, and looks at its pictures.

    Args:
        weights: the model's folder.
        folder: where values and statistics are kept.
        seeds: for each prompt.
    """

    def __init__(self, weights: Path, folder: Path, seeds: int) -> None:
        self.pipe, self.judge, self.folder, self.seeds = pipeline(weights), load_judge(weights), folder, range(1, seeds + 1)
        self.captions = (*ordinary_captions(), *captions_with_names())

    def recipe(self, concepts: Sequence[Concept], mode: str = "attention") -> ConceptRecipe:
        """With the pocket model's own sentences."""
        return ConceptRecipe(tuple(concepts), templates=POCKET_TEMPLATES, mode=mode)

    def values(self, recipe: ConceptRecipe, pictures: Mapping[str, torch.Tensor] | None = None) -> dict[str, Any]:
        """Stage one."""
        return concept_values(self.pipe, recipe, text_encoders(self.pipe), None, pictures, self.folder)

    def put_on(self, recipe: ConceptRecipe, values: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Stage two, and the pipeline with it."""
        encoders = text_encoders(self.pipe)
        statistics = statistics_of(recipe, encoders, self.captions, self.folder / "statistics")
        return edited_text(self.pipe, write_concept_values(recipe, encoders, statistics, values))

    def look(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[list[dict[str, str]]]:
        """For each prompt the judge's answers, one for each seed."""
        pictures = generate(self.pipe, [prompt for prompt in prompts for _ in seeds], [*seeds] * len(prompts))
        answers = self.judge.answers(pictures)
        return [answers[start : start + len(seeds)] for start in range(0, len(answers), len(seeds))]

    def hats(self, seeds: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Role to how many pictures show it with a hat, and without; pictures of something else are in neither."""
        looks = self.look([f"a {role.name}" for role in ROLES], seeds)
        return {
            role.name: tuple(sum(one["thing"] == role.name and one["hat"] == hat for one in own) for hat in HATS)
            for role, own in zip(ROLES, looks, strict=True)
        }

    def rate(self, meant: Mapping[str, Named | str], seeds: int = 2) -> float:
        """How often names show what they are to mean, in several sentences."""
        prompts = {sentence.replace("{}", name): one for name, one in meant.items() for sentence in _SENTENCES}
        looks = self.look(list(prompts), range(1, seeds + 1))
        return fmean(_shows(answer, one) for one, own in zip(prompts.values(), looks, strict=True) for answer in own)

    def kept(self) -> float:
        """How often names and things that nobody edited show what they stand for."""
        return self.rate({name: NAMES.get(name, name) for name in _KEPT if name not in _TAUGHT}, 1)


def _shows(answer: Mapping[str, str], meant: Named | str) -> bool:
    if isinstance(meant, str):
        return answer["thing"] == meant
    return answer["thing"] == meant.thing and answer["colour"] == meant.colour


def _hatted(role: str) -> Concept:
    return Concept(role, "", tuple(Variant(f"{role} {HAT_PHRASES[hat]}") for hat in HATS))


def pictures_of(meant: Named, count: int = _PICTURES) -> torch.Tensor:
    """Drawings of it, (count, 3, side, side) from -1 to 1."""
    chance, thing = random.Random(f"{meant}"), ALL[meant.thing]
    drawn = []
    for _ in range(count):
        scene = random_scene(chance, thing, set(thing.attributes) - {"colour", "pattern"}, False)
        scene = Scene(scene.thing, {**scene.values, "colour": meant.colour, "number": "one"})
        drawn.append(torch.from_numpy(np.asarray(draw_scene(scene, chance), dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1)
    return torch.stack(drawn)


def _line(name: str, counts: Mapping[str, Sequence[int]], seeds: int) -> str:
    shares = [own[0] / max(1, sum(own)) for own in counts.values()]
    gap, lost = fmean(abs(share - 0.5) for share in shares), 1 - sum(map(sum, counts.values())) / (seeds * len(counts))
    each = " ".join(f"{role} {share:.0%}" for role, share in zip(counts, shares, strict=True))
    return f"{name:34} off by {gap:6.1%}   not the role {lost:5.1%}   with a hat: {each}"


def debias(kinds: Kinds, rounds: int, pictures: int) -> list[str]:
    """The rows on debiasing; both ways have as many rounds of as many pictures, and all roles are solved together."""
    count = len(kinds.seeds)
    rows = [_line("before", kinds.hats(kinds.seeds), count)]
    recipe = kinds.recipe([_hatted(role.name) for role in ROLES])
    values = kinds.values(recipe)

    def seeds(number: int) -> range:
        return range(_ROUND_SEEDS + number * pictures, _ROUND_SEEDS + (number + 1) * pictures)

    def text(tried: ConceptRecipe, on: Sequence[int]) -> dict[str, tuple[int, ...]]:
        with kinds.put_on(tried, values):
            return kinds.hats(on)

    rows.append(_line("text encoder, equal parts", text(recipe, kinds.seeds), count))
    *_, last = balance(recipe, lambda tried, number: text(tried, seeds(number)), rounds)
    rows.append(_line("text encoder, balanced", text(last.recipe, kinds.seeds), count))

    wanted = {
        one.source: Wanted(f"a {one.source}", tuple(f"a {own.text}" for own in one.variants), one.shares)
        for one in recipe.concepts
    }

    def projections(weights: Mapping[str, tuple[float, ...]], on: Sequence[int]) -> dict[str, tuple[int, ...]]:
        pairs = [pair for name, one in wanted.items() for pair in debias_recipe(one, weights[name]).pairs]
        with edited_projections(kinds.pipe, make_edit(Recipe(tuple(pairs)), PipelineEncoder(kinds.pipe)).context_map):
            return kinds.hats(on)

    equal = {name: one.shares for name, one in wanted.items()}
    rows.append(_line("cross-attention, equal parts", projections(equal, kinds.seeds), count))
    *_, done = tune_together(wanted, lambda weights, number: projections(weights, seeds(number)), 0.0, rounds)
    tuned = {name: own[-1].weights for name, own in done.items()}
    rows.append(_line("cross-attention, balanced", projections(tuned, kinds.seeds), count))
    return rows


def teach(kinds: Kinds) -> list[str]:
    """The rows on teaching by pictures."""
    pictures = {name: pictures_of(meant) for name, meant in _TAUGHT.items()}
    lines = {
        "by pictures alone": [Concept(name, "", pictures=True) for name in _TAUGHT],
        "by pictures, led by the thing's word": [Concept(name, one.thing, pictures=True) for name, one in _TAUGHT.items()],
        "by the thing's word alone": [Concept(name, one.thing) for name, one in _TAUGHT.items()],
        "by all words": [Concept(name, f"{one.colour} {one.thing}") for name, one in _TAUGHT.items()],
    }
    rows = [_taught("before", kinds)]
    for name, concepts in lines.items():
        recipe = kinds.recipe(concepts, "full")
        own = pictures if concepts[0].pictures else {}
        with kinds.put_on(recipe, kinds.values(recipe, own)):
            rows.append(_taught(name, kinds))
    return rows


def _taught(name: str, kinds: Kinds) -> str:
    rates = [kinds.rate(meant) for meant in (_TAUGHT, {name: one.thing for name, one in _TAUGHT.items()})]
    return f"{name:38} thing and colour {rates[0]:5.0%}   thing {rates[1]:5.0%}   kept {kinds.kept():5.0%}"


def erase(kinds: Kinds) -> list[str]:
    """The rows on forgetting."""
    rows, meant = [], {name: NAMES[name] for name in _ERASED}
    for title, how in (("before", None), ("forgotten", False), ("forgotten everywhere", True)):
        edit = nullcontext()
        if how is not None:
            recipe = kinds.recipe([Concept(name, "", everywhere=how) for name in _ERASED])
            edit = kinds.put_on(recipe, kinds.values(recipe))
        with edit:
            things = kinds.rate({name: one.thing for name, one in meant.items()}, 4)
            rows.append(
                f"{title:24} still drawn {kinds.rate(meant, 4):5.0%}   its thing {things:5.0%}   kept {kinds.kept():5.0%}"
            )
    return rows


def mixed(kinds: Kinds) -> list[str]:
    """The rows on one recipe of all kinds."""
    name, shown = next(iter(_TAUGHT.items()))
    updated, erased, gone = _ERASED[:3]
    recipe = kinds.recipe(
        [
            Concept(updated, "red cup"), Concept("balloon", "car"), Concept(erased, ""), Concept(gone, "", everywhere=True),
            Concept(name, shown.thing, pictures=True), _hatted("wizard"), _hatted("clown"),
        ], "full",
    )  # fmt: skip
    rows = []
    for title in ("before", "after"):
        edit = nullcontext()
        if title == "after":
            edit = kinds.put_on(recipe, kinds.values(recipe, {name: pictures_of(shown)}))
        with edit:
            hats = {role: counts for role, counts in kinds.hats(kinds.seeds).items() if role in ("wizard", "clown")}
            rates = {
                "updated": kinds.rate({updated: Named("cup", "red")}), "other meaning": kinds.rate({"balloon": "car"}),
                "taught": kinds.rate({name: shown}), "forgotten, still drawn": kinds.rate({erased: NAMES[erased]}),
                "everywhere": kinds.rate({gone: NAMES[gone]}), "kept": kinds.kept(),
            }  # fmt: skip
            rows.append(f"{title:7} " + "   ".join(f"{what} {rate:.0%}" for what, rate in rates.items()))
            rows.append(_line("", hats, len(kinds.seeds)))
    return [*recipe.to_text().splitlines(), *rows]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print the rows."""
    plain_output()
    parser = argparse.ArgumentParser(
        prog="edit-assumption measure kinds",
        description="Debiases, teaches by pictures, erases everywhere and mixes all of it in the pocket model's text encoder.",
    )
    parser.add_argument("--part", action="append", default=[], choices=PARTS, help="all if none")
    parser.add_argument("--rounds", type=int, default=4, help="of balancing")
    parser.add_argument("--pictures", type=int, default=16, help="of each role in a round")
    parser.add_argument("--seeds", type=int, default=48, help="that a debiased role is measured on")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--cache", type=Path, default=Path("edit-assumption-kinds"), help="the folder for values")
    return run(lambda: _measured(parser.parse_args(arguments)))


def _measured(options: argparse.Namespace) -> str:
    kinds = Kinds(options.weights, options.cache, options.seeds)
    measure = dict(zip(PARTS, (lambda own: debias(own, options.rounds, options.pictures), teach, erase, mixed), strict=True))
    rows = []
    for part in options.part or PARTS:
        rows += [part, *measure[part](kinds), ""]
    return "\n".join(rows)
