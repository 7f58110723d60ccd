"""Commands that have a parser of their own: measurements, the pocket model's training, benchmarks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

MEASUREMENTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "measure": {
        "accuracy": ("evaluation.pocket_accuracy", "the pocket model and its judge: how often pictures show what they should"),
        "names": ("evaluation.pocket_concepts", "many invented names edited at once: EMCID, TIME, UCE"),
        "kinds": ("evaluation.pocket_concept_kinds", "debiased, taught, forgotten and mixed concepts"),
        "chance": ("evaluation.pocket_chance", "debiasing by chance, in the weights, and UCE's"),
        "edits": ("evaluation.pocket_edits", "debiasing, erasing and sliding"),
        "text": ("evaluation.pocket_text", "how well text alone foretells what pictures show"),
    },
    "pocket": {
        "train": ("pocket.train", "train the bundled model"),
        "curve": ("pocket.curve", "draw the losses of its training"),
    },
    "bench": {
        "edits": ("benchmarks.run", "speed, exactness and size of edits, against the reference, in one run"),
        "concepts": ("benchmarks.concepts", "speed of concept edits, against the release"),
        "sizes": ("benchmarks.sizes.command", "cost at SD 1.5's, SDXL's and Flux' size, beside TIME, UCE and EMCID"),
    },
}
"""Command to subcommand to its module, which has a ``main`` of its arguments, and what it does."""
_WHAT = {"measure": "measure on the bundled model", "pocket": "the bundled model's training", "bench": "benchmarks"}


def add_measurements(commands: Any) -> None:
    """The commands ``measure``, ``pocket`` and ``bench``; their subcommands say themselves what they can be told."""
    for name, parts in MEASUREMENTS.items():
        listed = "\n".join(f"  {part:<10}{what}" for part, (_, what) in parts.items())
        parser = commands.add_parser(
            name, help=_WHAT[name], formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"{listed}\n\nexample: edit-assumption {name} {next(iter(parts))} --help",
        )  # fmt: skip
        parser.add_argument("part", choices=parts, help="see below")
        parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of that part, such as --help")


def measurement(options: argparse.Namespace) -> Callable[[Sequence[str]], int]:
    """The ``main`` of what was asked; it is imported now, and no sooner."""
    module, _ = MEASUREMENTS[options.command][options.part]
    return import_module(f"..{module}", __package__).main
