"""Debiasing, erasing and sliding, measured on the pocket model: ``edit-assumption measure edits``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from ..console import plain_output, run
from ..editing.assumptions.context_map import ContextMap
from ..editing.assumptions.debias import debias_recipe
from ..editing.assumptions.edit import make_edit
from ..editing.assumptions.prompt_pair import PromptPair
from ..editing.assumptions.recipe import Recipe
from ..editing.shares import Wanted, next_weights, tune
from ..editing.whole_file import check_place, save_somewhere, save_whole_text
from ..pipelines.generate import generate
from ..pipelines.pipeline_encoder import PipelineEncoder
from ..pipelines.pipeline_moments import moment_of
from ..pocket.captions import HAT_PHRASES, bare_captions, caption, ordinary_captions
from ..pocket.judge import load_judge
from ..pocket.model import pipeline
from ..pocket.reading import shown_among
from ..pocket.words import ALL, ROLES
from .measures import Gallery

ERASED = ("rose", "cat", "car", "star", "tree", "wizard")
SLID = ("apple", "bird", "star", "house", "balloon", "dog")
CERTAIN = 0.99
"""A hat, or none, that the judge is less sure of is unclear; it is sure of many a half hat, too, so there are more of these."""
DIAL = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Share:
    """How many of some pictures showed something.

    Args:
        what: a label.
        before, after: shares from 0 to 1, without the edit and with it, from the same seeds.
    """

    what: str
    before: float
    after: float


class PocketModel:
    """The pocket model with its judge and its captions' moment.

    Args:
        advance: told how many pictures were drawn.
    """

    def __init__(self, advance: Callable[[int], object]) -> None:
        self.pipe, self.judge, self.advance = pipeline(), load_judge(), advance
        self.encode = PipelineEncoder(self.pipe)
        self.moment = moment_of(self.pipe, ordinary_captions())

    def gallery(self, seeds: Sequence[int]) -> Gallery:
        """Pictures of these seeds."""
        return Gallery(self.pipe, self.judge, seeds, advance=self.advance)

    def solve(self, recipe: Recipe) -> ContextMap:
        """The recipe's map, with the default regularizer."""
        return make_edit(recipe, self.encode, moment=self.moment).context_map


def debias(model: PocketModel, rounds: int, pictures: int, seeds: Sequence[int]) -> list[Share]:
    """For every role, with a hat or without, after both were asked for evenly: the shares with one and unclear."""
    debiased = []
    for role in ROLES:
        subject = caption(role, {})
        wanted = Wanted(subject, tuple(f"{subject} {phrase}" for phrase in HAT_PHRASES.values()), (0.5, 0.5))

        def count(answers: Sequence[dict[str, str]], wanted: Wanted = wanted) -> list[int]:
            shown = [shown_among(answer, wanted.variants) for answer in answers]
            return [shown.count(place) for place in range(len(wanted.variants))]

        def count_shown(weights: tuple[float, ...], number: int, wanted: Wanted = wanted) -> list[int]:
            start = 100_000 + number * pictures
            gallery = model.gallery(range(start, start + pictures))
            (answers,) = gallery.answers([wanted.subject], model.solve(debias_recipe(wanted, weights))).values()
            return count(answers, wanted)

        *_, done = tune(wanted, count_shown, 0.0, rounds)
        context_map = model.solve(debias_recipe(wanted, next_weights(wanted, done)))
        shares, unclear = [], []
        for each in (None, context_map):
            images = generate(model.pipe, [subject] * len(seeds), seeds, each, advance=model.advance)
            hats, bare = count(model.judge.answers(images))
            shares.append(hats / max(1, hats + bare))
            unclear.append((model.judge.certainty(images, "hat") < CERTAIN).double().mean().item())
        debiased += [Share(role.name, *shares), Share("unclear", *unclear)]
    return debiased


def erase(model: PocketModel, passes: int, seeds: Sequence[int]) -> list[Share]:
    """For some things: how often prompts about it still show it, and how often other things are still shown."""
    erased = []
    others = [thing for thing in ALL.values() if thing.name not in ERASED][::4]
    for name in ERASED:
        thing = ALL[name]
        prompts = [caption(thing, {}), f"a painting of {caption(thing, {})}", caption(thing, {"place": "snow"})]
        kept = tuple(text for text in bare_captions() if text != caption(thing, {}))
        recipe = Recipe((PromptPair(caption(thing, {}), ""),), preserve=kept, passes=passes)
        context_map = model.solve(recipe)
        gallery = model.gallery(seeds)

        def shown(names: Sequence[str], texts: Sequence[str], each: ContextMap | None, gallery: Gallery = gallery) -> float:
            answers = gallery.answers(texts, each)
            right = [answer["thing"] == name for name, text in zip(names, texts, strict=True) for answer in answers[text]]
            return sum(right) / len(right)

        names, texts = [other.name for other in others], [caption(other, {}) for other in others]
        erased.append(Share(name, *(shown([name] * len(prompts), prompts, each) for each in (None, context_map))))
        erased.append(Share("other things", *(shown(names, texts, each) for each in (None, context_map))))
    return erased


def slide(model: PocketModel, seeds: Sequence[int]) -> dict[float, float]:
    """Strength to how often a thing is large, over some things, the slider's ends being small and large."""
    shares = {}
    for strength in DIAL:
        large = []
        for name in SLID:
            plain, more, less = (caption(ALL[name], values) for values in ({}, {"size": "large"}, {"size": "small"}))
            pair = PromptPair(plain, more if strength >= 0 else less, abs(strength))
            context_map = model.solve(Recipe((pair,))) if strength else None
            large += [answer["size"] == "large" for answer in model.gallery(seeds).answers([plain], context_map)[plain]]
        shares[strength] = sum(large) / len(large)
    return shares


def report(debiased: Sequence[Share], erased: Sequence[Share], slid: dict[float, float]) -> str:
    """Markdown tables."""
    near = sum(abs(share.after - 0.5) <= 0.05 for share in debiased[::2])
    lines = [f"Debiased to half and half, with a hat or without: {near} of {len(debiased) // 2} roles within 5 points.", ""]
    lines += ["| role | with a hat before | after | unclear before | after |", "|---|---:|---:|---:|---:|"]
    lines += _rows(debiased)
    lines += [
        "",
        "| erased | still shown before | after | other things still shown before | after |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += _rows(erased)
    lines += ["", f"| slider's strength | {' | '.join(f'{strength:g}' for strength in slid)} |", f"|---|{'---:|' * len(slid)}"]
    lines.append(f"| large | {' | '.join(f'{share:.0%}' for share in slid.values())} |")
    return "\n".join(lines)


def _rows(shares: Sequence[Share]) -> list[str]:
    """A row for every two shares."""
    return [
        f"| {one.what} | {one.before:.0%} | {one.after:.0%} | {other.before:.0%} | {other.after:.0%} |"
        for one, other in zip(shares[::2], shares[1::2], strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print."""
    plain_output()
    parser = argparse.ArgumentParser(
        prog="edit-assumption measure edits",
        description="Measures debiasing, erasing and sliding on the pocket model.",
    )
    parser.add_argument("--rounds", type=int, default=6, help="of each debiasing")
    parser.add_argument("--pictures", type=int, default=64, help="of each round")
    parser.add_argument("--seeds", type=int, default=400, help="that a debiased role is measured on")
    parser.add_argument("--few-seeds", type=int, default=12, help="of the other measures")
    parser.add_argument("--passes", type=int, default=2, help="of each erasing")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    return run(lambda: _measured(options))


def _measured(options: argparse.Namespace) -> str:
    if options.json:
        check_place(options.json)
    with tqdm(desc="pictures", unit="picture", mininterval=2) as bar:
        model = PocketModel(bar.update)
        few = range(1, options.few_seeds + 1)
        debiased = debias(model, options.rounds, options.pictures, range(1, options.seeds + 1))
        erased = erase(model, options.passes, few)
        slid = slide(model, few)
    text = report(debiased, erased, slid)
    if options.json:
        measured = {
            "debiased": [asdict(share) for share in debiased],
            "erased": [asdict(share) for share in erased],
            "slider": slid,
        }
        content = json.dumps(measured, indent=1) + "\n"
        save_somewhere(lambda path: save_whole_text(path, content), options.json, "What was measured", text)
    return text
