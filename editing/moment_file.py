"""Second moments on disk, one file for each text encoder, so that captions are encoded once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from .edit import EncoderIdentity
from .encoding import Encode
from .whole_file import save_whole

FORMAT = "edit_assumption_moment"
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
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("format") != FORMAT or header.get("captions") != digest:
                    continue
                theirs = file.get_tensor("encoder")
                if theirs.shape != ours.shape or not float((theirs - ours).norm()) <= _SAME * float(ours.norm()):
                    continue
                moment = file.get_tensor("moment").double()
            if moment.shape == (ours.shape[1],) * 2 and moment.isfinite().all():
                path.touch()
                return moment
        except (SafetensorError, OSError):
            continue  # a damaged file is as good as none
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
        try:
            keep_moment(folder, captions, identity, moment)
        except OSError as error:
            logging.warning("Edit Assumption could not keep the captions' moment (%s).", error)
    return moment


def keep_moment(folder: Path, captions: Sequence[str], encoder: EncoderIdentity, moment: torch.Tensor) -> None:
    """Write a moment into a folder that is made if need be; the files used longest ago give way.

    Args:
        folder, captions, encoder: as for :func:`load_moment`.
        moment: (width, width); kept in float32.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest, embeddings = _digest(captions), encoder.embeddings.contiguous()
    name = hashlib.sha256(embeddings.numpy().tobytes() + digest.encode()).hexdigest()[:24]
    tensors = {"moment": moment.float().contiguous(), "encoder": embeddings}
    save_whole(tensors, folder / f"{name}.safetensors", {"format": FORMAT, "captions": digest})
    by_age = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    for path in by_age[:-_KEPT]:
        path.unlink(missing_ok=True)
