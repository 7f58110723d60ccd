"""Which destination token answers to each source token."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from .encoding import Chunk, EncodedPrompt


def _without_article_form(piece: str) -> str:
    """TIME's rule: "an" counts as "a", so that "an apple" answers to "a green apple"."""
    bare = piece.removesuffix("</w>").lstrip("▁Ġ")
    return "a" if bare in ("an", "a") else piece


def align_words(source: Sequence[str], destination: Sequence[str]) -> list[int]:
    """For each source word the index of the destination word that answers to it.

    Where the destination contains the source's words in order, each answers to its first match after the previous one
    (TIME's rule, as in its reference implementation). Otherwise the two are aligned as sequences: common words answer
    to each other; a replaced span answers to the span that replaced it, last word to last word; a word without
    counterpart answers to the word that follows the gap, which is ``len(destination)`` at the end.
    """
    source = [_without_article_form(piece) for piece in source]
    destination = [_without_article_form(piece) for piece in destination]
    found: list[int] = []
    for piece in source:
        try:
            found.append(destination.index(piece, found[-1] + 1 if found else 0))
        except ValueError:
            break
    else:
        return found
    answers: list[int] = []
    for kind, a_start, a_stop, b_start, b_stop in SequenceMatcher(None, source, destination, autojunk=False).get_opcodes():
        for position in range(a_start, a_stop):
            if kind == "equal":
                answers.append(b_start + position - a_start)
            else:  # counted from the spans' ends; an empty span leaves b_start, the word after the gap
                answers.append(max(b_start, b_stop - (a_stop - position)))
    return answers


def align(source: EncodedPrompt, destination: EncodedPrompt) -> list[int]:
    """For each position of ``source`` the position of ``destination`` whose embedding it should take.

    Words are aligned by :func:`align_words` over all chunks of a stream. What opens a chunk answers to what opens the chunk
    that the last word of the source's chunk answers to; the end token and padding answer to that chunk's end token and
    padding, one by one, the last position taking the rest (TIME's padding rule).
    """
    answers: dict[int, int] = {}
    for stream in dict.fromkeys(chunk.stream for chunk in source.chunks):
        ours, theirs = ([chunk for chunk in prompt.chunks if chunk.stream == stream] for prompt in (source, destination))
        answers |= _align_stream(source, ours, destination, theirs)
    return [answers[position] for position in range(len(source.tokens))]


def _align_stream(
    source: EncodedPrompt, ours: Sequence[Chunk], destination: EncodedPrompt, theirs: Sequence[Chunk]
) -> dict[int, int]:
    own, other = ([position for chunk in chunks for position in chunk.words] for chunks in (ours, theirs))
    after_words = min(theirs[-1].words.stop, theirs[-1].stop - 1)
    indices = align_words([source.tokens[position] for position in own], [destination.tokens[position] for position in other])
    answers = {
        position: other[index] if index < len(other) else after_words for position, index in zip(own, indices, strict=True)
    }
    for number, chunk in enumerate(ours):
        if len(chunk.words):
            partner = next(entry for entry in theirs if answers[chunk.words[-1]] < entry.stop)
        else:
            partner = theirs[min(number, len(theirs) - 1)]
        for position in range(chunk.start, chunk.words.start):
            answers[position] = min(partner.start + position - chunk.start, partner.stop - 1)
        for position in range(chunk.words.stop, chunk.stop):
            answers[position] = min(partner.words.stop + position - chunk.words.stop, partner.stop - 1)
    return answers
