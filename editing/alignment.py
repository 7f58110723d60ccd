"""Which destination token answers to each source token."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from .encoding import Chunk, EncodedPrompt

_ARTICLES = {"a", "an", "the"}
_HANGING = {
    "at", "behind", "beside", "by", "for", "from", "in", "inside", "near", "on", "over", "that", "under", "which", "who",
    "whose", "with", "without",
}  # fmt: skip
"""What opens a phrase behind its noun. Not “of”: the meaning of “a bunch of tulips” stands behind it."""
LIGHT_WORDS = _ARTICLES | _HANGING | {"and", "are", "as", "is", "of", "or", "s", "'s", "to"}
"""Words that hold a phrase together and mean little by themselves."""

# What it is worth that a word answers to another: an equal one outweighs several replaced ones, these outweigh light ones.
_SAME, _SAME_AS_LAST, _REPLACED, _LIGHT_SAME, _LIGHT_REPLACED = 100, 50, 10, 2, 1
_DEEPEST = 5
"""How far depths count at most, so that what is replaced goes on outweighing light words."""


@dataclass(frozen=True)
class _Word:
    """A word of a prompt.

    Args:
        text: as it is compared.
        pieces: the places of its pieces among the prompt's.
        depth: how many phrases are open, each hanging on the one before: 1 at “rain” in “a dog in the rain”.
        light: whether it is an article, “of” and the like, or a punctuation mark.
    """

    text: str
    pieces: range
    depth: int
    light: bool


def align_words(source: Sequence[str], destination: Sequence[str]) -> list[int]:
    """For each piece of the source's words the index of the piece of the destination's that answers to it.

    Where the destination contains the source's pieces in order, each answers to its first match after the previous one
    (TIME's rule, as in its reference implementation). Otherwise whole words are aligned: equal words answer to each other, a
    replaced one to what replaced it, counted from the end, so that the subject's last word becomes the destination's. Articles,
    “of” and the like decide only where no other word does. A word without counterpart answers to what the next word answers to,
    at the end to the destination's last word. Within a word pieces are counted from the end.

    Returns:
        Indices that never fall; ``len(destination)``, the end, only where the destination is empty.
    """
    published = _published_rule(source, destination)
    if published is not None:
        return published
    if not destination:
        return [0] * len(source)
    mark = _word_mark([*source, *destination])
    return _piece_answers(_words(source, mark), _words(destination, mark))


def _bare(piece: str) -> str:
    """A piece without its tokenizer's mark of a word's end or beginning."""
    return piece.removesuffix("</w>").lstrip("▁Ġ")


def _without_article_form(piece: str) -> str:
    """TIME's rule: "an" counts as "a", so that "an apple" answers to "a green apple"."""
    return "a" if _bare(piece) in ("an", "a") else piece


def _published_rule(source: Sequence[str], destination: Sequence[str]) -> list[int] | None:
    """TIME's correspondence; None where the destination does not contain the source's pieces in order."""
    offered = [_without_article_form(piece) for piece in destination]
    answers: list[int] = []
    for piece in map(_without_article_form, source):
        try:
            answers.append(offered.index(piece, answers[-1] + 1 if answers else 0))
        except ValueError:
            return None
    return answers


def _word_mark(pieces: Sequence[str]) -> str:
    """A tokenizer's mark of a word's end ("</w>", CLIP) or beginning ("▁", sentencepiece; "Ġ", byte-level BPE), or ""."""
    if any(piece.endswith("</w>") for piece in pieces):
        return "</w>"
    return next((mark for mark in "▁Ġ" if any(piece.startswith(mark) for piece in pieces)), "")


def _begins_word(before: str, piece: str, mark: str) -> bool:
    """Whether a word begins between two pieces."""
    if "embedding:" in (before[:10], piece[:10]):  # each vector of a textual inversion is a word by itself
        return True
    if mark == "</w>":
        return before.endswith(mark)
    # A punctuation mark stands behind its word without a mark of its own. Where there are none, every piece is a word.
    return piece.startswith(mark) or (_bare(before) != "" and _is_punctuation(_bare(before)) != _is_punctuation(piece))


def _is_punctuation(text: str) -> bool:
    return all(character in string.punctuation for character in text)


def _words(pieces: Sequence[str], mark: str) -> list[_Word]:
    starts = [place for place in range(len(pieces)) if not place or _begins_word(pieces[place - 1], pieces[place], mark)]
    words: list[_Word] = []
    depth = 0
    for start, stop in zip(starts, [*starts[1:], len(pieces)], strict=True):
        text = "".join(map(_bare, pieces[start:stop])).casefold()
        depth += text in _HANGING
        words.append(_Word(text, range(start, stop), depth, text in LIGHT_WORDS or _is_punctuation(text)))
    return words


def _last_word(words: Sequence[_Word]) -> int:
    """The place of the last word that is not light; of the last one where all are."""
    return next((place for place in reversed(range(len(words))) if not words[place].light), len(words) - 1)


def _worth(source: _Word, destination: _Word, lasts: int) -> int | None:
    """What it is worth that a word answers to another; None where one is light and the other is not.

    Args:
        source, destination: the words.
        lasts: how many of the two are their prompt's last word.
    """
    if source.light != destination.light:
        return None
    if source.light:
        same = source.text == destination.text or {source.text, destination.text} <= _ARTICLES
        return _LIGHT_SAME if same else _LIGHT_REPLACED
    if source.text == destination.text:
        return _SAME + lasts * _SAME_AS_LAST
    return _REPLACED - min(abs(source.depth - destination.depth), _DEEPEST)


def _pairs(source: Sequence[_Word], destination: Sequence[_Word]) -> dict[int, int]:
    """The pairs of words, none crossing another, that are worth most together; among equals those nearest to the end."""
    last_source, last_destination = _last_word(source), _last_word(destination)
    worths = [
        [_worth(ours, theirs, (i == last_source) + (j == last_destination)) for j, theirs in enumerate(destination)]
        for i, ours in enumerate(source)
    ]
    best = [[0] * (len(destination) + 1)]  # best[i][j]: of the first i and the first j words
    for row in worths:
        above, here = best[-1], [0]
        for j, worth in enumerate(row):
            here.append(max(above[j] + (worth or 0), above[j + 1], here[j]))
        best.append(here)
    pairs: dict[int, int] = {}
    i, j = len(source), len(destination)
    while i and j:
        worth = worths[i - 1][j - 1]
        if worth is not None and best[i][j] == best[i - 1][j - 1] + worth:
            i, j = i - 1, j - 1
            pairs[i] = j
        elif best[i][j] == best[i - 1][j]:
            i -= 1
        else:
            j -= 1
    return pairs


def _word_answers(source: Sequence[_Word], destination: Sequence[_Word], pairs: dict[int, int]) -> list[int]:
    """For each source word the destination word that answers to it.

    Light words come second: a pair of them holds only where it does not keep another word from what that has to answer to, and
    one without a partner takes the word before the next one's if nothing else does.
    """
    last = _last_word(destination)
    answers = [-1] * len(source)
    following = last
    for place in reversed(range(len(source))):
        if not source[place].light:
            following = answers[place] = pairs.get(place, following)
    lowest = list(accumulate(answers, max))
    taken = set(pairs.values())
    following, highest = last, len(destination) - 1
    for place in reversed(range(len(source))):
        if source[place].light:
            partner = pairs.get(place, -1)
            if not max(lowest[place], 0) <= partner <= highest:
                taken.discard(partner)
                before = following - 1
                partner = before if before > lowest[place] and before not in taken else following
            answers[place] = partner
        following = highest = answers[place]
    return answers


def _piece_answers(source: Sequence[_Word], destination: Sequence[_Word]) -> list[int]:
    """For each source piece the destination piece: of a pair last to last, else the first that the next word answers to."""
    pairs = _pairs(source, destination)
    answers: list[int] = []  # from the end
    for place, answer in reversed(list(enumerate(_word_answers(source, destination, pairs)))):
        theirs = destination[answer].pieces
        for distance in range(len(source[place].pieces)):
            if pairs.get(place) == answer:
                answers.append(max(theirs.start, theirs.stop - 1 - distance))
            else:
                answers.append(answers[-1] if answers and answers[-1] in theirs else theirs.stop - 1)
    return answers[::-1]


def align(source: EncodedPrompt, destination: EncodedPrompt, in_place: bool = False) -> list[int]:
    """For each position of ``source`` the position of ``destination`` whose embedding it should take.

    Words are aligned by :func:`align_words` over all chunks of a stream. What opens a chunk answers to what opens the chunk
    that the last word of the source's chunk answers to; the end token and padding answer to that chunk's end token and
    padding, one by one, the last position taking the rest (TIME's padding rule).

    Args:
        source, destination: encoded by the same encoder.
        in_place: where the destination goes on behind the source's last word, in windows that are filled with padding (“a
            wizard with a hat” for “a wizard”), have each row answer to the one at its own place, be it a word. The source
            then reads as the destination does, row by row.
    """
    if in_place and _goes_on(source, destination):
        return list(range(len(source.tokens)))
    answers: dict[int, int] = {}
    for stream in dict.fromkeys(chunk.stream for chunk in source.chunks):
        ours, theirs = ([chunk for chunk in prompt.chunks if chunk.stream == stream] for prompt in (source, destination))
        answers |= _align_stream(source, ours, destination, theirs)
    return [answers[position] for position in range(len(source.tokens))]


def _goes_on(source: EncodedPrompt, destination: EncodedPrompt) -> bool:
    """Whether both are one filled window of the same length, the destination's words beginning with all of the source's."""
    if not (_is_filled(source) and _is_filled(destination)) or len(source.tokens) != len(destination.tokens):
        return False
    stop = source.chunks[0].words.stop
    return source.tokens[:stop] == destination.tokens[:stop]


def _is_filled(prompt: EncodedPrompt) -> bool:
    """Whether it is one window whose end is filled with padding: the end token, then one token again and again."""
    (chunk, *more) = prompt.chunks
    padding = prompt.tokens[chunk.words.stop + 1 : chunk.stop]
    return not more and len(set(padding)) == 1


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
