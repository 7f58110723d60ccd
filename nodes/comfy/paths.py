"""Where edits live: a models folder of their own, and a folder among the outputs where they are saved."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import folder_paths

from ...editing.errors import EditError
from ...editing.file_names import tidy_name, with_marks_read
from ...editing.whole_file import check_place, why

EDITS = "assumption_edits"
ENDING = ".safetensors"


def register_folders() -> None:
    """Tell ComfyUI about ``models/assumption_edits`` and ``output/assumption_edits``."""
    for base in (folder_paths.models_dir, folder_paths.get_output_directory()):
        folder_paths.add_model_folder_path(EDITS, os.path.join(base, EDITS))
    # Added to a folder that extra_model_paths.yaml may have made before, so the set is replaced, not the entry.
    paths, endings = folder_paths.folder_names_and_paths[EDITS]
    folder_paths.folder_names_and_paths[EDITS] = (paths, {ENDING, *endings})
    try:
        Path(folder_paths.models_dir, EDITS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logging.warning("Edit Assumption: “%s” cannot be made in “%s” (%s).", EDITS, folder_paths.models_dir, why(error))


def saved_edits() -> list[str]:
    """Names of the saved edits, for a drop-down."""
    return folder_paths.get_filename_list(EDITS)


def edit_path(name: str) -> str | None:
    """Full path of a saved edit, None when it is gone."""
    return folder_paths.get_full_path(EDITS, name)


def file_prefix(written: str, folder: str, hidden: Any) -> str:
    """A name as the user wrote it, as a prefix for :func:`new_file`, in the ``folder`` where it is looked for.

    Args:
        written: with the marks that the host's own save nodes read.
        folder: below the output folder.
        hidden: the running node's, with the graph that the marks speak of.

    Raises:
        EditError: it is no name, or nothing can be written there.
    """
    workflow = (getattr(hidden, "extra_pnginfo", None) or {}).get("workflow")
    prefix = tidy_name(with_marks_read(written, getattr(hidden, "prompt", None), workflow), folder)
    check_place(os.path.join(folder_paths.get_output_directory(), f"{prefix}_{ENDING}"))
    return prefix


@contextmanager
def new_file(prefix: str) -> Iterator[tuple[str, str]]:
    """A free place below ComfyUI's output folder, numbered as its own save nodes number theirs, to be written to in the block.

    Returns:
        The full path, and the name for people.

    Raises:
        EditError: it cannot be written.
    """
    output = folder_paths.get_output_directory()
    try:
        folder, filename, counter, _, _ = folder_paths.get_save_image_path(prefix, output)
        path = os.path.join(folder, f"{filename}_{counter:05}_{ENDING}")
        yield path, os.path.relpath(path, output)
    except OSError as error:
        raise EditError(
            f"“{prefix}” cannot be written in “{output}”: {why(error)}. Mend that and queue again; ComfyUI keeps the edit."
        ) from error


def kept_folder(what: str) -> Path:
    """Where second moments, statistics and values are kept, in ComfyUI's user folder."""
    return Path(folder_paths.get_user_directory(), "edit_assumption", what)
