"""Files that appear whole or not at all, whoever else writes the same one, with the permissions that others expect."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors.torch import save

from .errors import EditError

_BEGUN, _ENDING = ".edit-assumption-", ".partial"
_ABANDONED = 24 * 3600
"""Seconds after which a file that was begun belongs to a run that was killed."""
_PROBE = bytes(2**16)
_WAITS = (0.01, 0.03, 0.1, 0.3, 1.0) if os.name == "nt" else ()
"""Seconds between attempts: Windows replaces no file while somebody, be it a virus scanner, has it open."""
_REASONS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the disk is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.ENOENT: "its folder is not there",
    errno.ENAMETOOLONG: "its name is too long",
}


def why(error: OSError) -> str:
    """The reason in plain words, without the path."""
    return _REASONS.get(error.errno or 0) or (error.strerror or str(error)).rstrip(".")


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write into, which takes its place when the block ends without an error.

    It is written beside its place under a name of its own. Permissions are those of the file that it replaces, else those
    that the umask gives. Folders are made; of a link its target is written; a device or a pipe is written as it is.

    Args:
        path: where it goes, replaced if it exists.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    before = _writable(Path(path))
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(path, "wb") as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(target.parent)
    fresh = _fresh(target.parent)
    try:
        with fresh.open("xb") as file:
            yield file
            file.flush()
            _onto_disk(file)
        if before is not None:
            _take_over(fresh, before)
        _replace(fresh, target)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _writable(path: Path) -> os.stat_result | None:
    """What is there, None where nothing is. Raises :class:`OSError` where it may not be written."""
    try:
        before = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(before.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(path, os.W_OK):
        os.close(os.open(path, os.O_WRONLY))  # raises with the reason
    return before


def _fresh(folder: Path) -> Path:
    return folder / f"{_BEGUN}{secrets.token_hex(8)}{_ENDING}"


@cache
def _clear_abandoned(folder: Path) -> None:
    """Once for each folder: remove what killed runs left there."""
    with suppress(OSError):
        for path in folder.glob(f"{_BEGUN}*{_ENDING}"):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink(missing_ok=True)


def _onto_disk(file: BinaryIO) -> None:
    """A network folder may say that it is full no sooner than here."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # some file systems know no such call
            raise


def _take_over(fresh: Path, before: os.stat_result) -> None:
    """Owner and permissions, as far as this user may give them and the file system knows them."""
    with suppress(OSError, AttributeError):  # Windows knows no owner here
        os.chown(fresh, before.st_uid, before.st_gid)
    with suppress(OSError):
        fresh.chmod(stat.S_IMODE(before.st_mode))


def _replace(fresh: Path, target: Path) -> None:
    for wait in _WAITS:
        try:
            os.replace(fresh, target)
            return
        except PermissionError:
            time.sleep(wait)
    os.replace(fresh, target)


def save_whole(tensors: Mapping[str, torch.Tensor], path: str | os.PathLike[str], header: Mapping[str, str]) -> None:
    """Write a .safetensors file as :func:`whole_file` does, tensors on any device and laid out in any way."""
    # A name that the system could not decode has no UTF-8 either.
    texts = {key: text.encode("utf-8", "backslashreplace").decode() for key, text in header.items()}
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, texts)
    with whole_file(path) as file:
        file.write(content)


def save_whole_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text in UTF-8 as :func:`whole_file` does."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def check_place(path: str | os.PathLike[str]) -> None:
    """Find out whether a file could be written there, and leave no trace. To be asked before what takes long.

    Raises:
        EditError: it could not.
    """
    try:
        before = _writable(Path(path))
        if before is None or stat.S_ISREG(before.st_mode):
            _probe(next(folder for folder in Path(os.path.realpath(path)).parents if folder.exists()))
    except OSError as error:
        raise EditError(f"“{path}” cannot be written: {why(error)}; give another place.") from error


def _probe(folder: Path) -> None:
    fresh = _fresh(folder)
    try:
        with fresh.open("xb") as file:
            file.write(_PROBE)
            file.flush()
            _onto_disk(file)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def save_somewhere(write: Callable[[Path], object], path: Path, what: str, report: str = "") -> None:
    """At the end of what took long: write to a place or, where that fails, to another one, which the error names.

    Args:
        write: writes to the place that it is given; raises :class:`OSError`.
        path: where it ought to go.
        what: a name for people, as in "The edit".
        report: what there is to say apart from that, so that it is not lost either.

    Raises:
        EditError: it is not where it ought to be.
    """
    try:
        write(path)
    except OSError as error:
        sentence = f"{report}\n“{path}” cannot be written: {why(error)}.".lstrip("\n")
        try:
            elsewhere = Path(tempfile.mkdtemp(prefix="edit-assumption-"), path.name)
            write(elsewhere)
        except OSError as again:
            raise EditError(f"{sentence} {what} could not be kept in the temporary folder either ({why(again)}).") from error
        raise EditError(f"{sentence} {what} is in “{elsewhere}” instead.") from error
