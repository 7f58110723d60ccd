"""The demonstration: one edit on the pocket model, before and after, as a picture."""

from __future__ import annotations

import time
from pathlib import Path

from tqdm import tqdm

from ..editing.assumptions.edit import make_edit
from ..editing.assumptions.prompt_pair import PromptPair
from ..editing.assumptions.reach import reach
from ..editing.assumptions.recipe import Recipe
from ..editing.errors import EditError
from ..editing.whole_file import save_somewhere
from ..editing.wording import percent
from ..pictures.grid import Row, before_after_grid
from ..pictures.save import check_picture, save_picture
from ..pocket.captions import ordinary_captions
from ..pocket.model import pipeline
from ..pocket.tokenizer import LENGTH, unknown_words
from .generate import generate
from .pipeline_encoder import PipelineEncoder
from .pipeline_moments import moment_of

_SEEDS = 4
_RELATED = ("a painting of {}", "{} in the snow", "{} at night")
_UNRELATED = ("a tulip", "a cat", "a red car in a city", "three apples", "a wizard at night", "a house")
_SHOWN_UNRELATED = 3


def check_words(prompts: list[str]) -> None:
    """Raise :class:`EditError` for a word that the pocket model does not know, with the nearest that it knows."""
    for prompt in prompts:
        for word, nearest in unknown_words(prompt).items():
            hint = f"; the nearest it knows: {', '.join(nearest)}" if nearest else ""
            raise EditError(f"The pocket model does not know the word “{word}”{hint}.")
        if len(prompt.split()) > LENGTH - 2:
            raise EditError(f"“{prompt[:40]}…” is too long; the pocket model reads {LENGTH - 2} words.")


def _groups(recipe: Recipe) -> dict[str, str]:
    """The prompts to show and what they are to the edit."""
    (pair,) = recipe.pairs
    own = set(f"{pair.source} {pair.destination}".split()) - {"a", "an", "the"}
    unrelated = [prompt for prompt in _UNRELATED if not own & set(prompt.split()) and prompt not in recipe.preserve]
    return {
        **dict.fromkeys(unrelated[:_SHOWN_UNRELATED], "unrelated"),
        **dict.fromkeys(recipe.preserve, "preserved"),
        **dict.fromkeys([sentence.format(pair.source) for sentence in reversed(_RELATED)], "related"),
        pair.source: "source",
    }


def run_demo(source: str, destination: str, preserve: list[str], strength: float, seed: int, out: Path) -> str:
    """Solve the edit, draw before and after, and say what was done and how long it took.

    Args:
        source, destination, preserve, strength: the recipe.
        seed: of the first picture in each row; the others follow.
        out: the picture to write, in the format of its name.

    Raises:
        EditError: the recipe cannot be solved, or has a word that the pocket model does not know, or the picture cannot be
            written.
    """
    recipe = Recipe((PromptPair(source, destination, strength),), tuple(preserve))
    check_words([source, destination, *preserve])
    check_picture(out)
    begin = time.perf_counter()
    pipe = pipeline()
    encode = PipelineEncoder(pipe)
    loaded = time.perf_counter()
    moment = moment_of(pipe, ordinary_captions())
    read = time.perf_counter()
    edit = make_edit(recipe, encode, moment=moment)
    solved = time.perf_counter()
    groups = _groups(recipe)
    seeds = list(range(seed, seed + _SEEDS))
    prompts = [prompt for prompt in reversed(groups) for _ in seeds]
    with tqdm(total=2 * len(prompts), desc="drawing", unit="picture") as bar:
        before = generate(pipe, prompts, seeds * len(groups), advance=bar.update)
        after = generate(pipe, prompts, seeds * len(groups), edit.context_map, advance=bar.update)
    rows = [
        Row(prompt, groups[prompt], was, now)
        for prompt, was, now in zip(reversed(groups), before.split(_SEEDS), after.split(_SEEDS), strict=True)
    ]
    drawn = time.perf_counter()
    title = f"{source} → {destination or '(forgotten)'}" + (f" at strength {strength:g}" if strength != 1 else "")
    note = f"pocket model, the same seeds ({seeds[0]} to {seeds[-1]}) in both"
    encoded = encode([row.prompt for row in rows])
    moved = [(row, reach(edit.context_map, prompt, edit.encoder.unit)) for row, prompt in zip(rows, encoded, strict=True)]
    report = "\n".join(
        [
            f"{source} -> {destination}",
            f"rank {edit.context_map.rank}, left undone on {edit.edited} edited tokens: {percent(edit.residual)}",
            *(f"{row.group:>9}: {row.prompt}: words moved by {percent(amount)}" for row, amount in moved),
            f"model loaded in {loaded - begin:.1f} s, captions and words read in {read - loaded:.1f} s, "
            f"edit encoded and solved in {solved - read:.2f} s, "
            f"{2 * len(prompts)} pictures in {drawn - solved:.1f} s",
        ]
    )
    figure = before_after_grid(rows, seeds, title, note)
    save_somewhere(lambda path: save_picture(figure, path, 110), out, "The picture", report)
    return f"{report}\npicture: {out}"
