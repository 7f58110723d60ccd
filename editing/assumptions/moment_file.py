"""Second moments on disk, one file for each text encoder, so that its texts are read once; what was stopped goes on there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from ..encoder_identity import SAME_ENCODER, EncoderIdentity
from ..encoding import Encode, EncodeShort
from ..kept_file import keep, read_kept
from ..known_texts import KnownTexts
from ..tensor_file import TensorFile
from .moments import WORDS_IN_WHOLE_WINDOWS, KnownMoment, MomentSums, Total, read_known, short_windows
from .space import Moment
from .wide_moment import WideMoment

FORMAT = "edit_assumption_moment_3"
"""The sums over captions and words. Earlier releases kept the moment of captions alone."""
_ROUNDING = 1e-3
"""How far two runs of one encoder may be apart."""
_KEPT = 16
_NAMED = 12
"""Digits of each half of a file's name, which tell texts and encoders apart: files of other texts are not read."""
_ENDING = ".safetensors"
_PARTS = ("captions", "words")
_REST = " rest"
"""Behind a part's name the diagonal of a moment of wide embeddings."""


def _digest(texts: KnownTexts) -> str:
    return hashlib.sha256("\n".join((*texts.captions, "", *texts.words)).encode()).hexdigest()


def load_sums(folder: Path, texts: KnownTexts, encoder: EncoderIdentity) -> MomentSums | None:
    """The sums that were kept for these texts and this encoder, whole or as far as they got; None if there are none.

    Whole ones of a very close relative serve as well: under a LoRA that moves the encoder by
    :data:`~..encoder_identity.SAME_ENCODER`, an edit with the moment from before moves unrelated prompts of
    the bundled model by 0.0389 in place of 0.0386.

    Args:
        folder: where they are kept.
        texts: that they are taken over.
        encoder: what the encoder makes of the first caption.
    """
    digest, best, nearest = _digest(texts), None, SAME_ENCODER

    def read(file: TensorFile) -> tuple[float, MomentSums] | None:
        header = file.metadata()
        if header.get("format") != FORMAT or header.get("texts") != digest:
            return None
        distance, read = encoder.apart(file.get_tensor("encoder")), int(header["read"])
        if not distance <= (SAME_ENCODER if read == len(texts) else _ROUNDING):
            return None
        captions, words = (Total(_square(file, name), float(header[name])) for name in _PARTS)
        finite = all(_is_finite(part.square) for part in (captions, words))
        return (distance, MomentSums(captions, words, read, header["short"] == str(True))) if finite else None

    for path in _by_age(folder, f"{digest[:_NAMED]}-*{_ENDING}")[::-1]:
        kept = read_kept(path, read)
        if kept is not None and kept[0] <= nearest:
            (nearest, sums), best = kept, path
            if nearest <= _ROUNDING:
                break
    if best is None:
        return None
    with suppress(OSError):  # the folder may be somebody else's
        best.touch()
    return sums


def kept_moment(
    folder: Path,
    texts: KnownTexts,
    encode: Encode,
    short: Callable[[], EncodeShort | None] = lambda: None,
    advance: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> KnownMoment:
    """The moment from disk, else computed and kept there.

    Args:
        folder: where moments are kept.
        texts: what it is taken over.
        encode: the encoder.
        short: gives the same in short windows where it has them, or None; fewer words are read then.
        advance: told before each call of the encoder how many texts were read, and of how many. What it raises ends the
            reading, which goes on from there the next time.

    Raises:
        EditError: an embedding is not finite.
    """
    first, fewer = texts.captions[0], texts.within(WORDS_IN_WHOLE_WINDOWS)
    (whole,) = encode([first])
    identity, begun = EncoderIdentity.of(first, whole), {}
    for known in (texts, fewer):
        sums = begun[len(known)] = load_sums(folder, known, identity) or MomentSums()
        if sums.read == len(known):
            return KnownMoment(known, sums)
    reading = short_windows(whole, short(), first)
    known = texts if reading else fewer
    sums = begun[len(known)]
    if sums.short != (reading is not None):
        sums = MomentSums(short=reading is not None)
    before = sums.read
    try:
        return read_known(encode, known, reading, sums, advance)
    finally:
        if sums.read > before:
            keep_sums(folder, known, identity, sums)


def keep_sums(folder: Path, texts: KnownTexts, encoder: EncoderIdentity, sums: MomentSums) -> None:
    """Write sums into a folder that is made if need be, or warn; the files used longest ago give way.

    Args:
        folder, texts, encoder: as for :func:`load_sums`.
        sums: kept in float32.
    """
    digest, embeddings = _digest(texts), encoder.embeddings.contiguous()
    name = f"{digest[:_NAMED]}-{hashlib.sha256(embeddings.numpy().tobytes()).hexdigest()[:_NAMED]}"
    parts = {name: getattr(sums, name) for name in _PARTS}
    tensors = {"encoder": embeddings}
    for kind, part in parts.items():
        tensors |= _tensors(kind, part)
    header = {"format": FORMAT, "texts": digest, "read": str(sums.read), "short": str(sums.short)}
    keep(tensors, folder / f"{name}{_ENDING}", header | {name: repr(part.rows) for name, part in parts.items()})
    with suppress(OSError):  # another process may be at it, too
        for path in _by_age(folder, f"*{_ENDING}")[:-_KEPT]:
            path.unlink(missing_ok=True)


def _tensors(kind: str, part: Total) -> dict[str, torch.Tensor]:
    if isinstance(part.square, WideMoment):
        return {kind: part.square.rows, f"{kind}{_REST}": part.square.rest.float()}
    return {kind: part.square.float().cpu()}


def _square(file: TensorFile, kind: str) -> Moment:
    if f"{kind}{_REST}" not in file.shapes():
        return file.get_tensor(kind).double()
    return WideMoment(file.get_tensor(kind), file.get_tensor(f"{kind}{_REST}").double())


def _is_finite(square: Moment) -> bool:
    numbers = square.diagonal() if isinstance(square, WideMoment) else square
    return bool(numbers.isfinite().all())


def _by_age(folder: Path, pattern: str) -> list[Path]:
    """The files, that used longest ago first; one that goes away meanwhile counts as that."""

    def age(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return sorted(folder.glob(pattern), key=age)
