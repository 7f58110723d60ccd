"""The demonstration: one edit on the built-in encoder, with a picture."""

from __future__ import annotations

import time
from pathlib import Path

from ..editing.edit import make_edit
from ..editing.reach import reach
from ..editing.recipe import PromptPair, Recipe
from ..editing.report import percent
from .built_in import BuiltInEncoder
from .picture import edit_picture

_UNRELATED = ("a bowl of cherries", "a city street at night", "two dogs on a beach", "an astronaut reading")
_SENTENCES = ("{} in a field", "a painting of {}", "the last of {}")


def run_demo(source: str, destination: str, preserve: list[str], strength: float, seed: int, out: Path) -> str:
    """Solve the edit, draw it, and say what was done and how long it took.

    Args:
        source, destination, preserve, strength: the recipe.
        seed: of the encoder's weights.
        out: the PNG to write.

    Raises:
        EditError: the recipe cannot be solved.
    """
    recipe = Recipe((PromptPair(source, destination, strength),), tuple(preserve))
    begin = time.perf_counter()
    encode = BuiltInEncoder(seed)
    made = time.perf_counter()
    related = [sentence.format(source) for sentence in _SENTENCES]
    groups = {
        **dict.fromkeys(_UNRELATED, "unrelated"),
        **dict.fromkeys(recipe.preserve, "preserved"),
        **dict.fromkeys(related, "related"),
        source: "source",
    }
    prompts = list(dict.fromkeys([*recipe.prompts(), source, destination, *groups]))
    known = dict(zip(prompts, encode(prompts), strict=True))
    encoded = time.perf_counter()
    edit = make_edit(recipe, lambda texts: [known[text] for text in texts])
    solved = time.perf_counter()
    reaches = [(prompt, group, reach(edit.context_map, known[prompt])) for prompt, group in reversed(groups.items())]
    figure = edit_picture(
        known[source],
        known[destination],
        reaches,
        f"{source} → {destination or '(forgotten)'}",
        f"built-in text encoder of random weights, seed {seed}: it knows words, not what they mean",
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)
    drawn = time.perf_counter()
    return "\n".join(
        [
            f"{source} -> {destination}",
            f"rank {edit.context_map.rank}, left undone on {edit.edited} edited tokens: {percent(edit.residual)}",
            *(f"{group:>9}: {prompt}: {percent(amount)} changed" for prompt, group, amount in reaches),
            f"encoder made in {made - begin:.2f} s, {len(prompts)} prompts encoded in {encoded - made:.2f} s, "
            f"solved in {solved - encoded:.3f} s, drawn in {drawn - solved:.2f} s",
            f"picture: {out}",
        ]
    )
