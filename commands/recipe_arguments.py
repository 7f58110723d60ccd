"""How commands are told a recipe and a model. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_LONGEST_NAME = 255
"""Of a file, in characters; longer texts are lines."""


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """The recipe, in whole or as settings beside it."""
    parser.add_argument(
        "lines", nargs="*", metavar="LINE_OR_FILE",
        help="a line, such as “a pack of roses -> a pack of blue roses”, or a text file with a recipe",
    )  # fmt: skip
    parser.add_argument("--preserve", action="append", default=[], metavar="PROMPT", help="a prompt to keep; may be repeated")
    parser.add_argument("--regularization", type=float, metavar="X", help="0.1 if not given; more holds more in place")
    parser.add_argument("--regularizer", choices=("captions", "identity"), help="what is held in place (captions)")
    parser.add_argument("--projections", choices=("keys and values", "values", "keys"), help="what is edited (keys and values)")
    parser.add_argument("--blocks", nargs="+", metavar="BLOCK", help="down, mid, up, or blocks by name; all if not given")


def add_model(parser: argparse.ArgumentParser, checkpoint: bool = True) -> None:
    """The model; ``checkpoint``: whether a checkpoint file will do."""
    kinds = "a checkpoint (.safetensors), a diffusers folder, or a name on the hub" if checkpoint else (
        "a diffusers folder, or a name on the hub"
    )  # fmt: skip
    parser.add_argument("--model", metavar="MODEL", help=f"{kinds}; the bundled pocket model if not given")
    if checkpoint:
        parser.add_argument(
            "--config",
            metavar="FOLDER",
            help="for a checkpoint: a diffusers folder of its family, if the hub is out of reach",
        )


def recipe_of(options: argparse.Namespace) -> Any:
    """The recipe: of concepts where one of its lines sets a mode.

    Raises:
        EditError: there is none, a file cannot be read, or a line is not understood.
    """
    from ..editing.any_recipe import is_of_concepts, parse_any_recipe
    from ..editing.errors import EditError
    from ..editing.text_file import read_text

    texts = [read_text(Path(entry), "recipe") if _is_file(entry) else entry for entry in options.lines]
    if not texts:
        raise EditError('There is no recipe; give lines such as: "a pack of roses -> a pack of blue roses"')
    text = "\n".join(texts)
    settings = {name: getattr(options, name) for name in ("regularization", "regularizer", "projections")}
    settings = {name: value for name, value in settings.items() if value is not None}
    if not is_of_concepts(text):
        text = "\n".join([text, *(f"= {prompt}" for prompt in options.preserve)])
        settings |= {"blocks": tuple(options.blocks)} if options.blocks else {}
    return parse_any_recipe(text, **settings)


def _is_file(entry: str) -> bool:
    return len(entry) <= _LONGEST_NAME and Path(entry).is_file()
