"""EMCID's two stages as its authors released them, in plain steps: one concept after the other, every step taken.

From the paper and the released code's settings (200 steps of Adam, weight decay, norm clamp, both losses); none of its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from edit_assumption.editing.concepts.concepts import Concept
from edit_assumption.editing.concepts.sentences import sentences_of
from edit_assumption.pipelines.encoder import PipelineEncoder

STEPS = 200
_TEXT, _DECAY = 0.01, 5e-4


def value(
    pipe: Any, concept: Concept, templates: Sequence[str], layer: int, latents: torch.Tensor, rate: float, clamp: float
) -> torch.Tensor:
    """Stage one for a concept: (width,), the shift of its subject's last token after ``layer``.

    Args:
        pipe: a diffusers pipeline of one text encoder.
        concept, templates: what is asked, in which sentences.
        layer: the last edited one.
        latents: (p, …) of pictures of the destination.
        rate, clamp: of Adam, relative to the stream's norm over the root of its width, and of the shift's norm.
    """
    sentences = sentences_of([concept], PipelineEncoder(pipe).tokenize, templates)
    encoder = getattr(pipe.text_encoder, "text_model", pipe.text_encoder).encoder
    rows, seen = torch.arange(len(sentences.ids)), {}
    shift = torch.zeros(pipe.text_encoder.config.hidden_size, requires_grad=True)

    def add(module: Any, args: Any, output: Any) -> Any:
        stream = output[0] if isinstance(output, tuple) else output
        seen.setdefault("norm", stream[rows, sentences.subject].detach().norm(dim=1).mean())
        places = torch.zeros(stream.shape[:2])
        places[rows, sentences.subject] = 1
        moved = stream + places[..., None] * shift
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    with torch.no_grad():
        meant = pipe.text_encoder(sentences.destination).last_hidden_state
    generator = torch.Generator().manual_seed(0)
    hook = encoder.layers[layer].register_forward_hook(add)
    try:
        with torch.no_grad():
            pipe.text_encoder(sentences.ids)  # so that the stream's norm is known
        optimizer = torch.optim.Adam([shift], lr=rate * float(seen["norm"]) / len(shift) ** 0.5)
        for _ in range(STEPS):
            optimizer.zero_grad()
            context = pipe.text_encoder(sentences.ids).last_hidden_state
            clean = latents[torch.randint(len(latents), (len(rows),), generator=generator)]
            noise = torch.randn(clean.shape, generator=generator)
            times = torch.randint(0, pipe.scheduler.config.num_train_timesteps, (len(rows),), generator=generator)
            noisy = pipe.scheduler.add_noise(clean, noise, times)
            with torch.no_grad():
                wanted = pipe.unet(noisy, times, meant).sample
            loss = (pipe.unet(noisy, times, context).sample - wanted).square().mean()
            ends = sentences.rows[:, :1], sentences.answers[:, :1]
            loss = loss + _TEXT * (context[rows[:, None], ends[0]] - meant[rows[:, None], ends[1]]).square().sum(2).mean()
            loss = loss + _DECAY * shift.square().sum() / seen["norm"] ** 2
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                most = clamp * seen["norm"]
                if shift.norm() > most:
                    shift.mul_(most / shift.norm())
    finally:
        hook.remove()
    return shift.detach().double()


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
