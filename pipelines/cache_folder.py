"""Where what can be computed again is kept between runs: what text encoders know, values of concepts."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

VARIABLE = "EDIT_ASSUMPTION_CACHE"


def cache_folder(kind: str) -> Path:
    """The folder for one kind of files, under $EDIT_ASSUMPTION_CACHE where that is set, else under the user's cache folder.

    Args:
        kind: such as "moments".
    """
    return user_cache() / kind


def user_cache() -> Path:
    """The folder for what can be computed again."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library/Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user of a container has no home folder
        base = tempfile.gettempdir()
    return Path(base) / "edit-assumption"
