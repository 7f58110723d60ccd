"""What a command says: lines for people, or JSON for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option for programs."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def answer(options: argparse.Namespace, text: str, facts: Mapping[str, Any]) -> str:
    """Whichever was asked for.

    Args:
        options: with :func:`add_json`'s.
        text: for people.
        facts: the same for programs.
    """
    return json.dumps(facts, ensure_ascii=False, indent=2) if options.json else text
