"""The command ``edit-assumption``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..editing.errors import EditError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it worked, 2 after a sentence on what to do instead."""
    parser = argparse.ArgumentParser(prog="edit-assumption", description="Edits what a text-to-image model takes for granted.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="one edit on a built-in text encoder, with a picture; downloads nothing")
    demo.add_argument("--source", default="a pack of roses", help="a prompt for which the model assumes something")
    demo.add_argument("--destination", default="a pack of blue roses", help="what it should mean; empty forgets the source")
    demo.add_argument("--preserve", action="append", default=[], metavar="PROMPT", help="a prompt to keep; may be repeated")
    demo.add_argument("--strength", type=float, default=1.0, help="from -2 to 2")
    demo.add_argument("--seed", type=int, default=0, help="of the built-in encoder")
    demo.add_argument("--out", type=Path, default=Path("edit-assumption-demo.png"), help="where the picture goes")
    options = parser.parse_args(arguments)
    try:
        from .demo import run_demo

        print(run_demo(options.source, options.destination, options.preserve, options.strength, options.seed, options.out))
    except EditError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f'The package “{error.name}” is missing; run: pip install -e ".[demo]"', file=sys.stderr)
        return 2
    return 0
