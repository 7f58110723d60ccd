"""Second moments on disk, one file for each text encoder, so that captions are encoded once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from .edit import EncoderIdentity
from .encoding import Encode
from .kept_file import keep, read_kept
from .tensor_file import TensorFile

FORMAT = "edit_assumption_moment_2"
"""The moment itself; the first release kept it already shrunk, with the start token in it."""
_SAME = 1e-3
_KEPT = 16


def _digest(captions: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(captions).encode()).hexdigest()


def load_moment(folder: Path, captions: Sequence[str], encoder: EncoderIdentity) -> torch.Tensor | None:
    """The moment that was kept for these captions and this encoder, (width, width) in float64; None if there is none.

    Args:
        folder: where moments are kept.
        captions: that it was taken over.
        encoder: what the encoder makes of the first of them.
    """
    digest, ours = _digest(captions), encoder.embeddings

    def read(file: TensorFile) -> torch.Tensor | None:
        header = file.metadata()
        if header.get("format") != FORMAT or header.get("captions") != digest:
            return None
        theirs = file.get_tensor("encoder")
        if theirs.shape != ours.shape or not float((theirs - ours).norm()) <= _SAME * float(ours.norm()):
            return None
        moment = file.get_tensor("moment").double()
        return moment if moment.shape == (ours.shape[1],) * 2 and moment.isfinite().all() else None

    for path in sorted(folder.glob("*.safetensors")):
        if (moment := read_kept(path, read)) is not None:
            with suppress(OSError):  # the folder may be somebody else's
                path.touch()
            return moment
    return None


def kept_moment(folder: Path, captions: Sequence[str], encode: Encode, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
    """The moment from disk, else computed and kept there, (width, width) in float64.

    Args:
        folder, captions: as for :func:`load_moment`.
        encode: the encoder, to know it by the first caption.
        compute: gives the moment where none was kept.
    """
    identity = EncoderIdentity.of(captions[0], encode(captions[:1])[0])
    moment = load_moment(folder, captions, identity)
    if moment is None:
        moment = compute()
        keep_moment(folder, captions, identity, moment)
    return moment


def keep_moment(folder: Path, captions: Sequence[str], encoder: EncoderIdentity, moment: torch.Tensor) -> None:
    """Write a moment into a folder that is made if need be, or warn; the files used longest ago give way.

    Args:
        folder, captions, encoder: as for :func:`load_moment`.
        moment: (width, width); kept in float32.
    """
    digest, embeddings = _digest(captions), encoder.embeddings.contiguous()
    name = hashlib.sha256(embeddings.numpy().tobytes() + digest.encode()).hexdigest()[:24]
    tensors = {"moment": moment.float(), "encoder": embeddings}
    keep(tensors, folder / f"{name}.safetensors", {"format": FORMAT, "captions": digest})
    with suppress(OSError):  # another process may be at it, too
        by_age = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        for path in by_age[:-_KEPT]:
            path.unlink(missing_ok=True)
