"""Where what can be computed again is kept between runs: second moments of text encoders."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "EDIT_ASSUMPTION_CACHE"


def cache_folder(kind: str) -> Path:
    """The folder for one kind of files: under $EDIT_ASSUMPTION_CACHE, else under the user's cache folder.

    Args:
        kind: such as "moments".
    """
    named = os.environ.get(VARIABLE)
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(named) if named else user / "edit-assumption") / kind
