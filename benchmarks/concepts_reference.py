"""EMCID's two stages in plain steps, one concept after the other, every step taken: as released, and with our settings.

:func:`released_value` and :func:`released_write` do what its authors' code does (github.com/SilentView/EMCID, MIT, with the
settings of its scripts), written anew from reading it. :func:`value` is the same loop with this library's scale, clamp and
text loss, so that a comparison with it shows what the search itself gains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ..editing.concepts.concept_lines import Concept
from ..editing.concepts.sentences import sentences_of
from ..pipelines.pipeline_encoder import PipelineEncoder

STEPS = 200
_TEXT, _DECAY = 0.01, 5e-4
_RATE, _CLAMP, _WEIGHT = 0.2, 1.5, 4000.0

NOTES = (
    "as released: Adam at a rate of 0.2 whatever the encoder's scale, at most 1.5 times the first sentence's norm; 0.01 "
    "of the pooled text's mean squared difference; noise at any point of the schedule; no padding, neither in the encoder "
    "nor in the diffusion model; one mean key for each concept; the residual is the value minus what the edited layer's "
    "MLP adds, not minus the last layer's stream; the weight of the statistics is 4000, and they count every word alike; "
    "all layers but the last (0 to 10 of CLIP-L's 12; 7 to 10 for artists' styles; SDXL 8 to 10 and 26 to 30, there 100 "
    "steps, rate 0.1, clamp 1.2, text 0.005).",
    "ours: the rate is relative to the stream, at most 3 times its norm; the text is compared token by token from the "
    "subject on; noise in the schedule's noisier half; whole windows with padding; a key for each sentence; MEMIT's "
    "residual; statistics in which rare words count; layers 7 to 10 of CLIP-L's 12 and those at the same height "
    "elsewhere.",
    "left out of “as released”: it trains on pictures that its code draws from the source's sentences where none are "
    "given (here both get the destination's, as its paper has it), encodes them anew at each step, and has a variant with "
    "elastic weight consolidation.",
)
"""What differs, for a reader of the benchmark."""


def _layers(pipe: Any) -> torch.nn.ModuleList:
    return getattr(pipe.text_encoder, "text_model", pipe.text_encoder).encoder.layers


@contextmanager
def _shifted(layer: torch.nn.Module, subject: torch.Tensor, shift: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """While it is open, ``shift`` is added behind a layer at every sentence's subject; yields what stood there at each call."""
    rows, seen = torch.arange(len(subject)), []

    def add(module: Any, args: Any, output: Any) -> Any:
        stream = output[0] if isinstance(output, tuple) else output
        seen.append(stream[rows, subject].detach().clone())
        places = torch.zeros(stream.shape[:2])
        places[rows, subject] = 1
        moved = stream + places[..., None] * shift
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    hook = layer.register_forward_hook(add)
    try:
        yield seen
    finally:
        hook.remove()


def _descend(
    pipe: Any, latents: torch.Tensor, shift: torch.Tensor, read: Callable[[], Any], meant: Any, rate: float, most: float,
    more: Callable[[Any], torch.Tensor],
) -> torch.Tensor:  # fmt: skip
    """Adam on the noise loss and ``more`` of what ``read`` gives, every shift at most ``most`` long."""
    generator, count = torch.Generator().manual_seed(0), len(meant)
    optimizer = torch.optim.Adam([shift], lr=rate)
    for _ in range(STEPS):
        optimizer.zero_grad()
        output = read()
        clean = latents[torch.randint(len(latents), (count,), generator=generator)]
        noise = torch.randn(clean.shape, generator=generator)
        times = torch.randint(0, pipe.scheduler.config.num_train_timesteps, (count,), generator=generator)
        noisy = pipe.scheduler.add_noise(clean, noise, times)
        with torch.no_grad():
            wanted = pipe.unet(noisy, times, meant).sample
        loss = (pipe.unet(noisy, times, output.last_hidden_state).sample - wanted).square().mean() + more(output)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            if shift.norm() > most:
                shift.mul_(most / shift.norm())
    return shift.detach().double()


def value(
    pipe: Any, concept: Concept, templates: Sequence[str], layer: int, latents: torch.Tensor, rate: float, clamp: float
) -> torch.Tensor:
    """Stage one for a concept, our settings: (width,), the shift of its subject's last token after ``layer``.

    Args:
        pipe: a diffusers pipeline of one text encoder.
        concept, templates: what is asked, in which sentences.
        layer: the last edited one.
        latents: (p, …) of pictures of the destination.
        rate, clamp: of Adam, relative to the stream's norm over the root of its width, and of the shift's norm.
    """
    sentences = sentences_of([concept], PipelineEncoder(pipe).tokenize, templates)
    rows = torch.arange(len(sentences.ids))[:, None]
    ours, theirs = sentences.rows[:, :1], sentences.answers[:, :1]
    shift = torch.zeros(pipe.text_encoder.config.hidden_size, requires_grad=True)
    with torch.no_grad():
        meant = pipe.text_encoder(sentences.destination).last_hidden_state
    with _shifted(_layers(pipe)[layer], sentences.subject, shift) as seen:
        with torch.no_grad():
            pipe.text_encoder(sentences.ids)  # so that the stream's norm is known
        norm = float(seen[0].norm(dim=1).mean())

        def more(output: Any) -> torch.Tensor:
            text = (output.last_hidden_state[rows, ours] - meant[rows, theirs]).square().sum(2).mean()
            return _TEXT * text + _DECAY * shift.square().sum() / norm**2

        read = lambda: pipe.text_encoder(sentences.ids)  # noqa: E731
        return _descend(pipe, latents, shift, read, meant, rate * norm / len(shift) ** 0.5, clamp * norm, more)


@dataclass(frozen=True)
class _Words:
    """Sentences without padding but what the longest needs."""

    ids: torch.Tensor
    mask: torch.Tensor
    subject: torch.Tensor

    def read(self, pipe: Any) -> Any:
        return pipe.text_encoder(self.ids, attention_mask=self.mask)


def _words(pipe: Any, texts: Sequence[str], name: str = "") -> _Words:
    tokens = PipelineEncoder(pipe).tokenize(texts)
    ends = torch.tensor([entry.words.stop for entry in tokens])
    stop = int(ends.max()) + 1
    mask = (torch.arange(stop) <= ends[:, None]).long()
    subject = [entry.subject(text, name) if name else 0 for entry, text in zip(tokens, texts, strict=True)]
    return _Words(torch.tensor([entry.ids[:stop] for entry in tokens]), mask, torch.tensor(subject))


def released_value(
    pipe: Any, concept: Concept, templates: Sequence[str], layer: int, latents: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Stage one for a concept as released: the first sentence's stream at the subject, and its shift, (width,) each."""
    source, meant = zip(*concept.sentences(templates), strict=True)
    words = _words(pipe, source, concept.source)
    shift = torch.zeros(pipe.text_encoder.config.hidden_size, requires_grad=True)
    with torch.no_grad():
        wanted = _words(pipe, meant).read(pipe)
    with _shifted(_layers(pipe)[layer], words.subject, shift) as seen:
        with torch.no_grad():
            words.read(pipe)
        begun = seen[0][0]

        def more(output: Any) -> torch.Tensor:
            text = (output.pooler_output - wanted.pooler_output).square().mean()
            return _TEXT * text + _DECAY * (shift.square().sum() + 1e-24).sqrt() / begun.square().sum()

        most = _CLAMP * float(begun.norm())
        value = _descend(pipe, latents, shift, lambda: words.read(pipe), wanted.last_hidden_state, _RATE, most, more)
    return begun.double(), value


@torch.no_grad()
def _mlp(pipe: Any, layer: int, words: _Words) -> tuple[torch.Tensor, torch.Tensor]:
    """What the MLP output matrix of a layer reads and what it gives, (n, tokens, …)."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    hook = _layers(pipe)[layer].mlp.fc2.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    try:
        words.read(pipe)
    finally:
        hook.remove()
    return seen[0]


@contextmanager
def released_write(
    pipe: Any, concepts: Sequence[Concept], templates: Sequence[str], values: torch.Tensor, captions: Sequence[str],
    layers: Sequence[int],
) -> Iterator[None]:  # fmt: skip
    """Stage two as released, on the pipeline's own encoder while it is open.

    Args:
        pipe, concepts, templates: as for :func:`released_value`.
        values: (concepts, width) what the streams are to be, the first sentence's with its shift.
        captions: of the statistics.
        layers: that are edited, rising.
    """
    texts = [_words(pipe, [source for source, _ in concept.sentences(templates)], concept.source) for concept in concepts]
    ordinary = _words(pipe, captions)
    read = [_mlp(pipe, layer, ordinary)[0][ordinary.mask.bool()].double() for layer in layers]
    moments = [entry.T @ entry / len(entry) for entry in read]
    weights = [_layers(pipe)[layer].mlp.fc2.weight for layer in layers]
    kept = [weight.detach().clone() for weight in weights]
    try:
        for place, (layer, weight) in enumerate(zip(layers, weights, strict=True)):
            pairs = [tuple(part[torch.arange(len(part)), entry.subject].double().mean(0) for part in _mlp(pipe, layer, entry))
                     for entry in texts]  # fmt: skip
            keys, given = (torch.stack(parts) for parts in zip(*pairs, strict=True))
            change = write(keys, (values - given) / (len(layers) - place), moments[place], _WEIGHT)
            with torch.no_grad():
                weight.add_(change.float())
        yield
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)


def write(keys: torch.Tensor, residual: torch.Tensor, moment: torch.Tensor, weight: float) -> torch.Tensor:
    """Stage two for a layer: R K^T (weight S + K K^T)^-1, a square system as large as the keys are wide, in float64.

    Args:
        keys: (n, key width)
        residual: (n, width)
        moment: S, (key width, key width)
        weight: of S.
    """
    keys, residual = keys.double().T, residual.double().T
    return residual @ torch.linalg.solve(weight * moment.double() + keys @ keys.T, keys).T
