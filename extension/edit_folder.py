"""The folder of saved edits. Nothing outside of it is read or written."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from modules import paths, shared

from ..editing.any_edit import AnyEdit
from ..editing.edit_file import load_edit, save_edit
from ..editing.errors import EditError
from ..editing.whole_file import check_place, why

_ENDING = ".safetensors"
_NAME = re.compile(r"\w[\w .()+-]*")
_LONGEST, _MOST_BYTES = 100, 240
"""Characters of a name, and what they come to in UTF-8: file systems have room for 255 with the ending."""
_WINDOWS_OWN = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)


class NoSuchEdit(EditError):
    """No edit is saved under a name."""


def folder() -> Path:
    """Where edits are, made if need be: from the settings, else EditAssumption among the models."""
    named = shared.opts.data.get("edit_assumption_folder", "").strip()
    place = Path(named) if named else Path(paths.models_path, "EditAssumption")
    with suppress(OSError):  # whoever saves there is told; who reads finds no edits
        place.mkdir(parents=True, exist_ok=True)
    return place


def moments_folder() -> Path:
    """Where second moments of captions and words are kept."""
    return Path(paths.data_path, "cache", "edit-assumption")


def checked_name(name: str) -> str:
    """``name`` as a file's name without its ending.

    Raises:
        EditError: it could lead out of a folder, or mean something in a prompt.
    """
    name = name.strip()
    while name.lower().endswith(_ENDING):
        name = name[: -len(_ENDING)].rstrip()
    if len(name) > _LONGEST or len(name.encode(errors="replace")) > _MOST_BYTES:
        raise EditError(f"The name “{name[:20]}…” is too long; give one of at most {_LONGEST} characters, fewer if not Latin.")
    if _WINDOWS_OWN.fullmatch(name):
        raise EditError(f"“{name}” cannot be a name, because Windows keeps it for a device; choose another name.")
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise EditError(f"“{name}” cannot be a name; use letters, digits, spaces and - _ . + ( ), a letter or digit first.")
    return name


def path_of(name: str) -> Path:
    """The file of an edit, there or not. Raises :class:`EditError` for a bad name."""
    return folder() / f"{checked_name(name)}{_ENDING}"


def names() -> list[str]:
    """All saved edits."""
    return sorted((path.stem for path in folder().glob(f"*{_ENDING}") if _NAME.fullmatch(path.stem)), key=str.casefold)


@dataclass(frozen=True)
class Listed:
    """A file in the folder.

    Args:
        name: of the edit.
        recipe: its lines; empty where they cannot be read.
        problem: a sentence about what keeps it from being used; empty for a good one.
    """

    name: str
    recipe: str = ""
    problem: str = ""


def listed() -> list[Listed]:
    """All saved edits, damaged ones marked."""
    return [_listed(name) for name in names()]


def _listed(name: str) -> Listed:
    try:
        return Listed(name, load(name).recipe.to_text())
    except EditError as error:
        return Listed(name, problem=str(error))


def load(name: str) -> AnyEdit:
    """A saved edit. Raises :class:`NoSuchEdit`, or :class:`EditError` where it cannot be read or is damaged."""
    path = path_of(name)
    if not _is_there(path):
        known = ", ".join(names()) or "none yet"
        raise NoSuchEdit(f"There is no edit “{name}”; saved edits are: {known}.")
    return load_edit(path)


def free_edit(name: str, overwrite: bool) -> Path:
    """A place in the folder. Raises :class:`EditError` where the name is bad or taken, or nothing can be written there."""
    return _free(path_of(name), "an edit", overwrite)


def save(edit: AnyEdit, name: str, overwrite: bool = False, header: dict[str, str] | None = None) -> Path:
    """Write an edit. Raises :class:`EditError` as :func:`free_edit` does."""
    path = free_edit(name, overwrite)
    with file_errors(path):
        save_edit(edit, path, header)
    return path


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Whatever keeps the block from writing or removing a file becomes an :class:`EditError`."""
    try:
        yield
    except OSError as error:
        raise EditError(f"“{path}” cannot be written: {why(error)}; mend that and try again.") from error


def delete(name: str) -> None:
    """Remove an edit's file. Raises :class:`NoSuchEdit`, or :class:`EditError` where it cannot be removed."""
    path = path_of(name)
    if not _is_there(path):
        raise NoSuchEdit(f"There is no edit “{name}” to delete.")
    with file_errors(path):
        path.unlink()


def short_hash(name: str) -> str:
    """Ten digits that change with the file; none where it cannot be read."""
    try:
        return hashlib.sha256(path_of(name).read_bytes()).hexdigest()[:10]
    except OSError:
        return ""


def free_lora(name: str, overwrite: bool) -> Path:
    """A place in the WebUI's own Lora folder. Raises :class:`EditError` as :func:`free_edit` does."""
    return _free(Path(shared.cmd_opts.lora_dir) / f"{checked_name(name)}{_ENDING}", "a LoRA", overwrite)


def _is_there(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise EditError(f"“{path}” cannot be read: {why(error)}.") from error


def _free(path: Path, what: str, overwrite: bool) -> Path:
    check_place(path)
    if path.exists() and not overwrite:
        raise EditError(f"There is {what} “{path.stem}” already; choose another name, or allow overwriting.")
    return path
