"""Concepts in their sentences, as numbers: token ids, where the subject stands, and which tokens are to become which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ..alignment import align
from ..encoding import Chunk, EncodedPrompt, check_read
from .concept_lines import TEMPLATES, Concept
from .subjects import last_token

_PADDING_NEAR, _PADDING_STEP = 8, 3
"""Padding says nearly the same at every place; a few near ones stand for all of it."""


@dataclass(frozen=True)
class Tokens:
    """A prompt in one window of the encoder.

    Args:
        ids: of every position.
        pieces: the text of every position.
        words: the positions of the prompt's own tokens.
        spelling: what each of these stands for in the prompt, where that is not its piece (:func:`~.subjects.token_spans`).
        cut: the prompt's end, where it is longer than the window and the host leaves the end out.
    """

    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    words: range
    spelling: tuple[str, ...] = ()
    cut: str = ""

    def subject(self, text: str, name: str) -> int:
        """The position of the last token that names ``name`` in ``text``. Raises EditError where it does not."""
        return self.words.start + last_token(text, self.spelling or [self.pieces[place] for place in self.words], name)

    def short(self) -> Tokens:
        """Without the padding: in a causal encoder all that stands before it is the same without it."""
        stop = min(self.words.stop + 1, len(self.ids))
        return Tokens(self.ids[:stop], self.pieces[:stop], self.words)

    def as_prompt(self) -> EncodedPrompt:
        """For the alignment, which reads no embeddings."""
        return EncodedPrompt(self.pieces, (Chunk(0, self.words, len(self.ids)),), torch.zeros(len(self.ids), 0))


Tokenize = Callable[[Sequence[str]], Sequence[Tokens]]
"""A host's tokenizer: prompts to their tokens, each cut to one window."""


@dataclass(frozen=True)
class Sentences:
    """All sentences of some concepts; n of them, of r compared positions each.

    Args:
        concept: (n,) number of the concept.
        ids, destination: (n, tokens) of the sentence as it is, and as it is meant.
        subject: (n,) the subject's last token.
        partner: (n, tokens) the position of ``destination`` that each position of ``ids`` is to become.
        rows: (n, r) the positions of ``ids`` that are compared.
        weight: (n, r) how many positions each stands for; 0 where a sentence has fewer.
        origin: (concepts,) each concept's number among all that were asked for.
        told: (concepts,) whether the destination's text says what is meant; else pictures alone do.
        left_out: how many positions at the end, all of them padding, are left out.
    """

    concept: torch.Tensor
    ids: torch.Tensor
    destination: torch.Tensor
    subject: torch.Tensor
    partner: torch.Tensor
    rows: torch.Tensor
    weight: torch.Tensor
    origin: torch.Tensor
    told: torch.Tensor
    left_out: int = 0

    @property
    def answers(self) -> torch.Tensor:
        """(n, r) what ``rows`` are to become."""
        return self.partner.gather(1, self.rows)

    @property
    def count(self) -> int:
        """How many concepts there are."""
        return len(self.origin)

    def of(self, concepts: torch.Tensor) -> Sentences:
        """Those of some concepts (numbers, rising), numbered anew."""
        chosen = torch.isin(self.concept, concepts)
        names = ("ids", "destination", "subject", "partner", "rows", "weight")
        numbers = torch.searchsorted(concepts, self.concept[chosen])
        parts = {name: getattr(self, name)[chosen] for name in names}
        return replace(self, concept=numbers, **parts, origin=self.origin[concepts], told=self.told[concepts])

    def cut(self) -> Sentences:
        """Without what stands behind the last compared position: attention looks back alone, so it decides nothing."""
        stop = int(max(self.rows.max(), self.answers.max(), self.subject.max())) + 1
        kept = {name: getattr(self, name)[:, :stop] for name in ("ids", "destination", "partner")}
        return replace(self, **kept, left_out=self.left_out + self.ids.shape[1] - stop)

    def whole(self, contexts: torch.Tensor) -> torch.Tensor:
        """(n, tokens, width) of all positions: the last one, near padding, stands for what was left out."""
        return torch.cat([contexts, contexts[:, -1:].expand(-1, self.left_out, -1)], dim=1)

    def share(self) -> torch.Tensor:
        """(n,) weights, 1 for all sentences of a concept together."""
        return 1 / torch.bincount(self.concept).float()[self.concept]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """(n, …) a value of each sentence to (concepts, …) the mean over each concept's."""
        total = torch.zeros(self.count, *values.shape[1:], dtype=values.dtype, device=values.device)
        numbers = self.concept.to(values.device)
        sizes = torch.bincount(numbers)
        return total.index_add(0, numbers, values) / sizes.view(-1, *[1] * (values.ndim - 1))


def sentences_of(concepts: Sequence[Concept], tokenize: Tokenize, templates: Sequence[str] = TEMPLATES) -> Sentences:
    """Tokenize and align every concept in every template.

    Raises:
        EditError: a sentence does not name its subject, or what it is to become differs only behind the window.
    """
    texts = [pair for concept in concepts for pair in concept.sentences(templates)]
    numbers = [number for number, concept in enumerate(concepts) for _ in templates]
    distinct = list(dict.fromkeys(text for pair in texts for text in pair))
    known = dict(zip(distinct, tokenize(distinct), strict=True))
    aligned = []
    for number, (source, destination) in zip(numbers, texts, strict=True):
        ours, theirs = known[source], known[destination]
        if ours.ids == theirs.ids:
            check_read(source, destination, theirs.cut or ours.cut, len(ours.ids))
        subject = ours.subject(source, concepts[number].source)
        partner = align(ours.as_prompt(), theirs.as_prompt())
        aligned.append((ours.ids, theirs.ids, subject, partner, _compared(subject, ours)))
    longest = max(len(compared) for *_, compared in aligned)

    def padded(values: list[float]) -> list[float]:
        return values + values[:1] * (longest - len(values))

    return Sentences(
        concept=torch.tensor(numbers),
        ids=torch.tensor([ids for ids, *_ in aligned]),
        destination=torch.tensor([ids for _, ids, *_ in aligned]),
        subject=torch.tensor([subject for _, _, subject, _, _ in aligned]),
        partner=torch.tensor([list(partner) for *_, partner, _ in aligned]),
        rows=torch.tensor([padded(list(compared)) for *_, compared in aligned]),
        weight=torch.tensor([[*compared.values()] + [0.0] * (longest - len(compared)) for *_, compared in aligned]),
        origin=torch.arange(len(concepts)),
        told=torch.tensor([bool(concept.destination) or not concept.pictures for concept in concepts]),
    )


def _compared(subject: int, tokens: Tokens) -> dict[int, float]:
    """Position to how many it stands for: from the subject's last token to the end token, and a few of the padding."""
    end = min(tokens.words.stop, len(tokens.ids) - 1)
    places = dict.fromkeys(range(subject, end + 1), 1.0)
    padding = range(end + 1, len(tokens.ids))
    read = padding[:_PADDING_NEAR:_PADDING_STEP]
    return places | dict.fromkeys(read, len(padding) / max(1, len(read)))
