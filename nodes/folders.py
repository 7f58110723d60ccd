"""Where edits live: a models folder of their own, and a folder among the outputs where they are saved."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

EDITS = "assumption_edits"
_ENDING = ".safetensors"


def register_folders() -> None:
    """Tell ComfyUI about ``models/assumption_edits`` and ``output/assumption_edits``."""
    for base in (folder_paths.models_dir, folder_paths.get_output_directory()):
        folder_paths.add_model_folder_path(EDITS, os.path.join(base, EDITS))
    # Added to a folder that extra_model_paths.yaml may have made before, so the set is replaced, not the entry.
    paths, endings = folder_paths.folder_names_and_paths[EDITS]
    folder_paths.folder_names_and_paths[EDITS] = (paths, {_ENDING, *endings})
    Path(folder_paths.models_dir, EDITS).mkdir(parents=True, exist_ok=True)


def saved_edits() -> list[str]:
    """Names of the saved edits, for a drop-down."""
    return folder_paths.get_filename_list(EDITS)


def edit_path(name: str) -> str | None:
    """Full path of a saved edit, None when it is gone."""
    return folder_paths.get_full_path(EDITS, name)


def new_file(prefix: str) -> tuple[str, str]:
    """A free place below ComfyUI's output folder, numbered as its own save nodes number theirs.

    Returns:
        The full path, and the name for people.
    """
    folder, filename, counter, _, _ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    name = f"{filename}_{counter:05}_{_ENDING}"
    return os.path.join(folder, name), os.path.relpath(os.path.join(folder, name), folder_paths.get_output_directory())


def kept_folder(what: str) -> Path:
    """Where second moments, statistics and values are kept, in ComfyUI's user folder."""
    return Path(folder_paths.get_user_directory(), "edit_assumption", what)
