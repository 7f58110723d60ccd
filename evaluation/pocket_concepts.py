"""The command that edits hundreds of names of the pocket model: ``edit-assumption measure names``.

The protocol is ICEB's (:mod:`.joint`), on the names of :mod:`..pocket.names`: each is to be drawn as what another stands for,
and a picture shows a name when it shows its thing in its colour. Held out are the names that no count edits, and all things.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from ..console import plain_output, run
from ..editing.concepts.concept_lines import Concept
from ..editing.concepts.concept_recipe import DEFAULT_REGULARIZATION, MODES, ConceptRecipe
from ..pipelines.command_inputs import POCKET_TEMPLATES
from ..pipelines.generate import generate
from ..pocket import WEIGHTS
from ..pocket.captions import bare_captions, caption, ordinary_captions
from ..pocket.judge import SceneClassifier, load_judge
from ..pocket.model import pipeline
from ..pocket.names import NAMES, captions_with_names
from ..pocket.words import ALL
from .joint import Held, JointSuite, MeasuredConcept, ScoredPictures, Shot, run_jointly, shots
from .joint_methods import joint_methods, search_shown
from .joint_report import FILES, read_joint, table, write_joint
from .results_folder import results_folder

COUNTS = (1, 10, 50, 100, 300)
_OTHER_SENTENCES = ("there is a {} in a field", "look at a {}", "a drawing of a {} on a beach", "a small {} by day")
_SEEDS, _OTHER_SEEDS, _HELD_SEEDS = (1, 2, 3, 4), (5, 6, 7, 8), (1, 2)
_AT_ONCE = 64


def cases(count: int, seed: int = 0) -> tuple[MeasuredConcept, ...]:
    """The first names, each with the name of something else in another colour as its destination."""
    names = list(NAMES)[:count]
    chance = random.Random(seed)
    measured = []
    for name in names:
        own = NAMES[name]
        others = [other for other in NAMES if NAMES[other].thing != own.thing and NAMES[other].colour != own.colour]
        concept = Concept(name, chance.choice(others))
        measured.append(
            MeasuredConcept(concept, shots(name, POCKET_TEMPLATES, _SEEDS), shots(name, _OTHER_SENTENCES, _OTHER_SEEDS))
        )
    return tuple(measured)


def held_out(count: int) -> tuple[Held, ...]:
    """Pictures of the names behind the first ``count``, and of every thing."""
    names = [Held(shot, name) for name in list(NAMES)[count:] for shot in shots(name, ("a {}", "look at a {}"), _HELD_SEEDS)]
    things = [Held(Shot(caption(thing, {}), seed), thing.name) for thing in ALL.values() for seed in _HELD_SEEDS]
    return (*names, *things)


def shown(judge: SceneClassifier, pictures: torch.Tensor, names: Sequence[str]) -> Iterator[bool]:
    """With a judge, a ``SceneClassifier`` of :mod:`.joint`: a name is shown by its thing in its colour, a thing by itself."""
    for answer, name in zip(judge.answers(pictures), names, strict=True):
        meant = NAMES.get(name)
        yield answer["thing"] == (meant.thing if meant else name) and (meant is None or answer["colour"] == meant.colour)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, draw, write after each method and count into ``--out``, print the table."""
    plain_output()
    parser = argparse.ArgumentParser(
        prog="edit-assumption measure names",
        description="Edits hundreds of the pocket model's names together, as ICEB's protocol does, with each method.",
    )
    parser.add_argument("--together", type=int, nargs="+", default=COUNTS, metavar="N", help="names edited together")
    parser.add_argument("--measured", type=int, default=60, metavar="N", help="of the first names, drawn at every count")
    parser.add_argument("--method", action="append", default=[], choices=("EMCID", "TIME", "UCE", "K/V"), help="all if none")
    parser.add_argument("--mode", choices=MODES, default=MODES[0], help="EMCID's stage one")
    parser.add_argument("--layers", type=int, nargs="+", default=[], metavar="N", help="EMCID's")
    parser.add_argument("--regularization", type=float, default=DEFAULT_REGULARIZATION, help="EMCID's")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, default=Path("edit-assumption-names"), help="the folder for the results")
    options = parser.parse_args(arguments)
    return run(lambda: _measured(options))


def _measured(options: argparse.Namespace) -> str:
    largest = max(options.together)
    captions = (*ordinary_captions(), *captions_with_names())

    def recipe(concepts: Sequence[Concept]) -> ConceptRecipe:
        layers = tuple(options.layers)
        return ConceptRecipe(tuple(concepts), options.regularization, POCKET_TEMPLATES, layers, options.mode)

    held = held_out(largest)
    about = {name: getattr(options, name) for name in ("measured", "mode", "layers", "regularization")}
    about |= {"weights": str(options.weights.resolve()), "held out": len(held)}
    with results_folder(options.out, FILES) as put, tqdm(desc="pictures", unit="picture", mininterval=2) as bar:
        methods = joint_methods(recipe, captions, bare_captions(), options.out / "values", advance=search_shown(bar))
        judge = partial(shown, load_judge(options.weights))
        scored = ScoredPictures(pipeline(options.weights), judge, generate, at_once=_AT_ONCE, advance=bar.update)
        suite = JointSuite(cases(largest), held, options.together, options.measured)
        results = run_jointly(
            scored, [methods[name] for name in options.method or methods], suite, read_joint(options.out, about),
            lambda so_far: put(lambda folder: write_joint(so_far, folder, about), table(so_far)),
        )  # fmt: skip
        put(lambda folder: write_joint(results, folder, about), table(results))
    return table(results)
