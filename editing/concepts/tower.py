"""CLIP's text transformer in plain torch, so that every host's encoder can be looked into, changed and differentiated alike.

Hosts load encoders in modules of their own, some of which cannot be differentiated (ComfyUI loads in inference mode) or keep
their weights elsewhere. They all know the weights by transformers' names, so a tower is made from those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch.nn import functional

from ..errors import EditError

_FEW = 4
"""Layers: as many as the pocket model's encoder has."""
ACTIVATIONS = {
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu": functional.gelu,
}


@dataclass(frozen=True)
class Tower:
    """A text transformer with causal attention and layer norms before each part, as CLIP's are.

    Args:
        weights: by transformers' names below ``text_model.``, float32.
        heads: of the attention.
        activation: "quick_gelu" (CLIP-L) or "gelu" (OpenCLIP).
        depth: how many layers are run; fewer than there are for CLIP skip.
        final_norm: whether the final layer norm is applied to what the diffusion model reads.
        eps: of the layer norms.
        changes: layer to (up, down), which stand beside its MLP output matrix: W + up down.
    """

    weights: Mapping[str, torch.Tensor]
    heads: int
    activation: str
    depth: int
    final_norm: bool = True
    eps: float = 1e-5
    changes: Mapping[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise EditError(f"The text encoder's activation “{self.activation}” is not known.")
        missing = [
            name for name in ("embeddings.token_embedding.weight", weight_name(self.depth - 1)) if name not in self.weights
        ]
        if missing:
            raise EditError(
                "This text encoder is not shaped like CLIP's; connect the CLIP of an SD 1.x, SD 2.x or SDXL checkpoint."
            )

    @property
    def width(self) -> int:
        """Numbers in the stream of a token."""
        return self.weights["embeddings.token_embedding.weight"].shape[1]

    @property
    def key_width(self) -> int:
        """Numbers that an MLP output matrix reads."""
        return self.weights[weight_name(0)].shape[1]

    @cached_property
    def digest(self) -> str:
        """Changes with the weights, the changes and what is run; read once, since there are hundreds of megabytes of it."""
        digest = hashlib.sha256(f"{self.heads} {self.activation} {self.depth} {self.final_norm}".encode())
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(self.weights[name].cpu().contiguous().numpy().tobytes())
        for layer, factors in sorted(self.changes.items()):
            digest.update(str(layer).encode())
            for factor in factors:
                digest.update(factor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def changed(self, layer: int, up: torch.Tensor, down: torch.Tensor) -> Tower:
        """The tower with W + up down for W of ``layer``'s MLP output; up (width, rank), down (rank, key width)."""
        if layer in self.changes:
            old_up, old_down = self.changes[layer]
            up, down = torch.cat([old_up, up], dim=1), torch.cat([old_down, down])
        return replace(self, changes={**self.changes, layer: (up, down)})

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """(n, tokens) ids to (n, tokens, width), what the first layer reads."""
        places = self.weights["embeddings.position_embedding.weight"][: ids.shape[1]]
        return self.weights["embeddings.token_embedding.weight"][ids] + places

    def run(self, stream: torch.Tensor, first: int, stop: int) -> torch.Tensor:
        """The stream (n, tokens, width) through the layers from ``first`` to before ``stop``."""
        for layer in range(first, stop):
            stream, key = self.attend(stream, layer)
            stream = stream + self.answer(key, layer)
        return stream

    def attend(self, stream: torch.Tensor, layer: int, rows: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """A layer up to its MLP's output matrix.

        Args:
            stream: (n, tokens, width)
            layer: its number.
            rows: (n, r) the tokens to go on with; None for all.

        Returns:
            The stream after attention, (n, r or tokens, width), and what the output matrix reads, (…, key width).
        """
        part = f"encoder.layers.{layer}."
        normed = self._norm(stream, part + "layer_norm1")
        asked, kept = normed, stream
        mask = torch.ones(stream.shape[1], stream.shape[1], dtype=torch.bool, device=stream.device).tril()
        if rows is not None:
            wide = rows[..., None].expand(-1, -1, stream.shape[2])
            asked, kept = normed.gather(1, wide), stream.gather(1, wide)
            mask = mask[rows][:, None]
        query, key, value = (
            self._heads(self._linear(given, f"{part}self_attn.{name}_proj"))
            for given, name in ((asked, "q"), (normed, "k"), (normed, "v"))
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        kept = kept + self._linear(mixed.transpose(1, 2).flatten(2), part + "self_attn.out_proj")
        hidden = self._linear(self._norm(kept, part + "layer_norm2"), part + "mlp.fc1")
        return kept, ACTIVATIONS[self.activation](hidden)

    def answer(self, key: torch.Tensor, layer: int) -> torch.Tensor:
        """What the MLP of ``layer`` adds to the stream: W key, with the tower's change of W."""
        added = self._linear(key, f"encoder.layers.{layer}.mlp.fc2")
        if layer in self.changes:
            up, down = self.changes[layer]
            added = added + (key @ down.to(key).T) @ up.to(key).T
        return added

    def finish(self, stream: torch.Tensor, first: int, rows: torch.Tensor | None = None) -> torch.Tensor:
        """From the stream before layer ``first`` to what the diffusion model reads, of tokens ``rows`` (n, r) or of all."""
        if rows is None or first >= self.depth:
            stream = self.run(stream, first, self.depth)
            if rows is not None:
                stream = stream.gather(1, rows[..., None].expand(-1, -1, stream.shape[2]))
        else:  # the last layer need not be asked for tokens that nobody reads
            stream = self.run(stream, first, self.depth - 1)
            stream, key = self.attend(stream, self.depth - 1, rows)
            stream = stream + self.answer(key, self.depth - 1)
        return self._norm(stream, "final_layer_norm") if self.final_norm else stream

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self.weights[name + ".weight"], self.weights.get(name + ".bias"))

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.weights[name + ".weight"], self.weights[name + ".bias"], self.eps)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return torch.unflatten(x, 2, (self.heads, -1)).transpose(1, 2)


def weight_name(layer: int) -> str:
    """The name of a layer's MLP output matrix, below ``text_model.``."""
    return f"encoder.layers.{layer}.mlp.fc2.weight"


def default_layers(depth: int) -> tuple[int, ...]:
    """The layers that EMCID edits, 7 to 10 of CLIP-L's 12, and those at the same height of another encoder.

    Of a few layers it is the first: its words have read each other then, and what they mean stands there already.
    """
    if depth <= _FEW:
        return (0,)
    last = depth - 2
    return tuple(range(last - round(depth / 3) + 1, last + 1))


def layers_of(tower: Tower, chosen: Sequence[int]) -> tuple[int, ...]:
    """The layers to edit: those that were chosen, or the default. Raises :class:`EditError` where the tower has too few."""
    layers = tuple(sorted(set(chosen))) or default_layers(tower.depth)
    if layers[-1] >= tower.depth or layers[0] < 0:
        raise EditError(f"The text encoder has the layers 0 to {tower.depth - 1}, so these cannot be edited: {layers}.")
    return layers


def below_text_model(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a state dict by their names below ``text_model.``, in float32."""
    mark = "text_model."
    return {name.split(mark, 1)[1]: tensor.detach().float() for name, tensor in weights.items() if mark in name}
