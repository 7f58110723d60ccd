"""The command that measures the trained model and its judge: ``python -m edit_assumption.evaluation.pocket_accuracy``."""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from diffusers import StableDiffusionPipeline
from tqdm import tqdm

from ..pipelines.generate import generate
from ..pocket import WEIGHTS
from ..pocket.captions import Words, caption
from ..pocket.dataset import draw
from ..pocket.judge import QUESTIONS, Judge, load_judge, truth
from ..pocket.model import pipeline
from ..pocket.scenes import any_scenes, assumed
from ..pocket.words import ALL, ATTRIBUTES

Counts = Mapping[str, tuple[int, int]]
"""Question to how many were right, and how many there were."""


def judge_accuracy(judge: Judge, count: int, seed: str = "unseen") -> Counts:
    """The judge on drawings that it has not seen, every attribute drawn evenly."""
    right, asked = defaultdict(int), defaultdict(int)
    chance = random.Random(seed)
    for _ in range(0, count, 200):
        scenes = any_scenes(chance, 200)
        for scene, answer in zip(scenes, judge.answers(draw(scenes, chance)), strict=True):
            for question, value in truth(scene).items():
                asked[question] += 1
                right[question] += answer[question] == value
    return {question: (right[question], asked[question]) for question in QUESTIONS}


def requests(repeats: int) -> list[tuple[str, str, bool, dict[str, str]]]:
    """What the model is asked: (kind, caption, ...) with what its picture ought to show.

    "qualified" captions name the thing and one attribute, every value of every attribute of every thing; "unqualified"
    ones name the thing alone, as "a rose" and as "roses".
    """
    asked = []
    for thing in ALL.values():
        for attribute in thing.attributes:
            for value in ATTRIBUTES[attribute]:
                asked.append(("qualified", caption(thing, {attribute: value}), False, {"thing": thing.name, attribute: value}))
        for plural in (False, True):
            wanted = {attribute: assumed(thing, attribute, plural) for attribute in thing.attributes}
            text = caption(thing, {}, Words(plural=plural))
            asked += [("unqualified", text, plural, {"thing": thing.name, **wanted})] * (4 * repeats)
    return asked


def model_accuracy(pipe: StableDiffusionPipeline, judge: Judge, repeats: int, share: float = 1.0) -> dict[str, Counts]:
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
    return {kind: {question: tuple(entry) for question, entry in found.items()} for kind, found in counts.items()}


def markdown(title: str, counts: Counts) -> str:
    """A table of shares."""
    lines = [f"| {title} | right | of |", "|---|---:|---:|"]
    lines += [f"| {question} | {100 * right / max(1, total):.1f} % | {total} |" for question, (right, total) in counts.items()]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m edit_assumption.evaluation.pocket_accuracy", description="Measures the pocket model and its judge."
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--drawings", type=int, default=4000, help="that the judge is tried on")
    parser.add_argument("--repeats", type=int, default=1, help="pictures for each qualified caption")
    parser.add_argument("--share", type=float, default=1.0, help="of the captions to try")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    judge = load_judge(options.weights)
    results = {"judge, unseen drawings": judge_accuracy(judge, options.drawings)}
    pipe = pipeline(options.weights)
    for kind, counts in model_accuracy(pipe, judge, options.repeats, options.share).items():
        results[f"model, {kind}"] = counts
    print("\n\n".join(markdown(title, counts) for title, counts in results.items()))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
