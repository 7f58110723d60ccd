"""The folder of saved edits. Nothing outside of it is read or written."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from modules import paths, shared

from ..editing.any_edit import AnyEdit
from ..editing.edit_file import load_edit, save_edit
from ..editing.errors import EditError

_ENDING = ".safetensors"
_NAME = re.compile(r"\w[\w .()+-]{0,99}")


def folder() -> Path:
    """Where edits are, made if need be: from the settings, else EditAssumption among the models."""
    named = shared.opts.data.get("edit_assumption_folder", "").strip()
    found = Path(named) if named else Path(paths.models_path, "EditAssumption")
    found.mkdir(parents=True, exist_ok=True)
    return found


def moments_folder() -> Path:
    """Where second moments of captions are kept."""
    return Path(paths.data_path, "cache", "edit-assumption")


def checked_name(name: str) -> str:
    """``name`` as a file's name without its ending.

    Raises:
        EditError: it could lead out of a folder, or mean something in a prompt.
    """
    name = name.strip().removesuffix(_ENDING)
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise EditError(f"“{name}” cannot be a name; use letters, digits, spaces and - _ . + ( ), a letter or digit first.")
    return name


def path_of(name: str) -> Path:
    """The file of an edit, there or not. Raises :class:`EditError` for a bad name."""
    return folder() / f"{checked_name(name)}{_ENDING}"


def names() -> list[str]:
    """All saved edits."""
    return sorted((path.stem for path in folder().glob(f"*{_ENDING}") if _NAME.fullmatch(path.stem)), key=str.casefold)


def load(name: str) -> AnyEdit:
    """A saved edit. Raises :class:`EditError` where there is none of this name, or it is damaged."""
    path = path_of(name)
    if not path.is_file():
        known = ", ".join(names()) or "none yet"
        raise EditError(f"There is no edit “{name}”; saved edits are: {known}.")
    return load_edit(path)


def save(edit: AnyEdit, name: str, overwrite: bool = False, header: dict[str, str] | None = None) -> Path:
    """Write an edit. Raises :class:`EditError` where the name is bad or taken."""
    path = path_of(name)
    _refuse_taken(path, "an edit", overwrite)
    save_edit(edit, path, header)
    return path


def delete(name: str) -> None:
    """Remove an edit's file. Raises :class:`EditError` where there is none."""
    path = path_of(name)
    if not path.is_file():
        raise EditError(f"There is no edit “{name}” to delete.")
    path.unlink()


def short_hash(name: str) -> str:
    """Ten digits that change with the file."""
    return hashlib.sha256(path_of(name).read_bytes()).hexdigest()[:10]


def free_lora(name: str, overwrite: bool) -> Path:
    """A place in the WebUI's own Lora folder. Raises :class:`EditError` where the name is bad or taken."""
    place = Path(shared.cmd_opts.lora_dir) / f"{checked_name(name)}{_ENDING}"
    _refuse_taken(place, "a LoRA", overwrite)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _refuse_taken(path: Path, what: str, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise EditError(f"There is {what} “{path.stem}” already; choose another name, or allow overwriting.")
