"""The command that measures the trained model and its judge: ``edit-assumption measure accuracy``."""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from tqdm import tqdm

from ..console import plain_output, run
from ..editing.whole_file import check_place, save_somewhere, save_whole_text
from ..pipelines.generate import generate
from ..pocket import WEIGHTS
from ..pocket.captions import Words, caption, ordinary_captions, random_sample, random_words
from ..pocket.dataset import draw
from ..pocket.judge import QUESTIONS, SceneClassifier, load_judge, truth
from ..pocket.model import pipeline
from ..pocket.name_stage import plain_encoder
from ..pocket.names import NAMES
from ..pocket.scenes import any_scenes, assumed
from ..pocket.tokenizer import token_ids
from ..pocket.words import ALL, ATTRIBUTES

Counts = Mapping[str, tuple[int, int]]
"""Question to how many were right, and how many there were."""


def judge_accuracy(
    judge: SceneClassifier,
    count: int,
    seed: str = "unseen",
    seen_through: Callable[[torch.Tensor], torch.Tensor] = lambda images: images,
) -> Counts:
    """The judge on drawings that it has not seen, every attribute drawn evenly.

    Args:
        judge: who looks.
        count: how many, by two hundred.
        seed: of the drawings.
        seen_through: what becomes of them, (n, 3, side, side), before the judge sees them.
    """
    right, asked = defaultdict(int), defaultdict(int)
    chance = random.Random(seed)
    for _ in range(0, count, 200):
        scenes = any_scenes(chance, 200)
        for scene, answer in zip(scenes, judge.answers(seen_through(draw(scenes, chance))), strict=True):
            for question, value in truth(scene).items():
                asked[question] += 1
                right[question] += answer[question] == value
    return {question: (right[question], asked[question]) for question in QUESTIONS}


@torch.no_grad()
def through_autoencoder(pipe: StableDiffusionPipeline, images: torch.Tensor) -> torch.Tensor:
    """Drawings as the pipeline's autoencoder gives them back: more than it keeps, no picture of the model can show."""
    return pipe.vae.decode(pipe.vae.encode(images).latent_dist.mean).sample.clamp(-1, 1)


def requests(repeats: int) -> list[tuple[str, str, bool, dict[str, str]]]:
    """What the model is asked: (kind, caption, ...) with what its picture ought to show.

    "qualified" captions name the thing and one attribute, every value of every attribute of every thing; "unqualified"
    ones name the thing alone, as "a rose" and as "roses".
    """
    asked = []
    for thing in ALL.values():
        for attribute in thing.attributes:
            for value in ATTRIBUTES[attribute]:
                wanted = {"thing": thing.name, attribute: value}
                asked += [("qualified", caption(thing, {attribute: value}), False, wanted)] * repeats
        for plural in (False, True):
            wanted = {attribute: assumed(thing, attribute, plural) for attribute in thing.attributes}
            text = caption(thing, {}, Words(plural=plural))
            asked += [("unqualified", text, plural, {"thing": thing.name, **wanted})] * (4 * repeats)
    return asked


def model_accuracy(
    pipe: StableDiffusionPipeline, judge: SceneClassifier, repeats: int, share: float = 1.0
) -> dict[str, Counts]:
    """Kind of caption to question to how often the picture showed what it should.

    Args:
        pipe, judge: the model and who looks at its pictures.
        repeats: pictures for each qualified caption; unqualified ones get four times as many.
        share: of the captions that are tried, drawn by chance.
    """
    asked = requests(repeats)
    chance = random.Random(0)
    asked = chance.sample(asked, round(share * len(asked)))
    with tqdm(total=len(asked), desc="pictures", mininterval=5) as bar:
        images = generate(pipe, [request[1] for request in asked], range(len(asked)), advance=bar.update)
    counts: dict[str, dict[str, list[int]]] = {}
    for (kind, _, _, wanted), answer in zip(asked, judge.answers(images), strict=True):
        for question, value in wanted.items():
            entry = counts.setdefault(kind, {}).setdefault(question, [0, 0])
            entry[0] += answer[question] == value
            entry[1] += 1
        both = counts[kind].setdefault("everything asked", [0, 0])
        both[0] += all(answer[question] == value for question, value in wanted.items())
        both[1] += 1
    return {kind: {question: tuple(entry) for question, entry in questions.items()} for kind, questions in counts.items()}


def names_accuracy(pipe: StableDiffusionPipeline, judge: SceneClassifier, share: float = 1.0) -> Counts:
    """How many of the invented names are drawn as what they stand for, a picture of each."""
    names = random.Random(0).sample(list(NAMES), round(share * len(NAMES)))
    answers = judge.answers(generate(pipe, [f"a {name}" for name in names], range(len(names))))
    pairs = [(answer, NAMES[name]) for name, answer in zip(names, answers, strict=True)]
    right = {
        "thing": [answer["thing"] == own.thing for answer, own in pairs],
        "colour": [answer["colour"] == own.colour for answer, own in pairs],
    }
    right["both"] = [all(both) for both in zip(*right.values(), strict=True)]
    return {question: (sum(entries), len(entries)) for question, entries in right.items()}


@torch.no_grad()
def changed_by_names(pipe: StableDiffusionPipeline, count: int) -> torch.Tensor:
    """By how much captions without names read otherwise since the encoder knows names, at most: (captions,), rising."""
    plain, chance = plain_encoder(pipe.text_encoder), random.Random("captions without names")
    texts = [*ordinary_captions(), *(random_sample(chance).caption(random_words(chance)) for _ in range(count))]
    changes = []
    for ids in torch.tensor(token_ids(pipe.tokenizer, texts)).split(500):
        now, before = (text(ids).last_hidden_state for text in (pipe.text_encoder, plain))
        changes.append((now - before).abs().amax((1, 2)))
    return torch.cat(changes).sort().values


def markdown(title: str, counts: Counts) -> str:
    """A table of shares."""
    lines = [f"| {title} | right | of |", "|---|---:|---:|"]
    lines += [f"| {question} | {100 * right / max(1, total):.1f} % | {total} |" for question, (right, total) in counts.items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print."""
    plain_output()
    parser = argparse.ArgumentParser(
        prog="edit-assumption measure accuracy", description="Measures the pocket model and its judge."
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--drawings", type=int, default=4000, help="that the judge is tried on")
    parser.add_argument("--repeats", type=int, default=3, help="pictures for each qualified caption")
    parser.add_argument("--share", type=float, default=1.0, help="of the captions to try")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    return run(lambda: _measured(options))


def _measured(options: argparse.Namespace) -> str:
    if options.json:
        check_place(options.json)
    judge = load_judge(options.weights)
    results = {"judge, unseen drawings": judge_accuracy(judge, options.drawings)}
    pipe = pipeline(options.weights)
    through = partial(through_autoencoder, pipe)
    results["judge, the same through the autoencoder"] = judge_accuracy(judge, options.drawings, seen_through=through)
    for kind, counts in model_accuracy(pipe, judge, options.repeats, options.share).items():
        results[f"model, {kind}"] = counts
    results["model, by an invented name"] = names_accuracy(pipe, judge, options.share)
    changes = changed_by_names(pipe, options.drawings)
    text = (
        "\n\n".join(markdown(title, counts) for title, counts in results.items())
        + f"\n\nSince the encoder knows names, its numbers for {len(changes)} captions without any change by at most "
        f"{float(changes[int(0.999 * len(changes))]):.0e} in 99.9 % of them, by at most {float(changes[-1]):.0e} in all."
    )
    if options.json:
        content = json.dumps(results, indent=2) + "\n"
        save_somewhere(lambda path: save_whole_text(path, content), options.json, "What was measured", text)
    return text
