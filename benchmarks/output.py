"""What benchmarks say while they measure, and where they write it down."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..editing.whole_file import save_somewhere, save_whole_text


def say(text: str) -> None:
    """Beside the answer, at once."""
    print(text, file=sys.stderr, flush=True)


def save_answer(answer: Mapping[str, Any], path: str, text: str) -> None:
    """Write what was measured as JSON; ``text`` is the same for people, should it be kept nowhere."""
    content = json.dumps(answer, ensure_ascii=False, indent=2) + "\n"
    save_somewhere(lambda place: save_whole_text(place, content), Path(path), "What was measured", text)
