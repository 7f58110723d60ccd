"""How far an edit of one name would be an edit of others: what keeps hundreds of names apart in training.

An edit in closed form (Meng et al., "Mass-Editing Memory in a Transformer", ICLR 2023) of the first MLP's output matrix, by the
inputs K of all names as columns, their weights W, and the second moment S of ordinary captions' inputs, answers to an input k
with the share W K^T (S + K W K^T)^-1 k of each name's change: 1 of its own and 0 of all others', if nothing is mistaken.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from transformers import CLIPTextConfig, CLIPTokenizer

from ..editing.concepts.statistics import Statistics
from ..editing.concepts.tower import Tower
from .captions import ordinary_captions
from .names import NAMES
from .tokenizer import token_ids

_REGULARIZATION = 0.5
"""How much the moment counts, for each number of an input."""
_NOT_EDITED, _HELD = 0.15, 0.25
"""How many of the names are left out of an edit, in turn; their weight as something to be held in place, of an edited one's."""
_ELSEWHERE = 3.0
"""How much the other places of captions with names count, of which there are many."""


class Mistakes:
    """Called with weights, it says how far names are mistaken for each other.

    Args:
        plain: the encoder's weights without names, by transformers' names below ``text_model.``.
        tokenizer: that knows the names.
        config: of the encoder with names.
    """

    def __init__(self, plain: Mapping[str, torch.Tensor], tokenizer: CLIPTokenizer, config: CLIPTextConfig) -> None:
        self.config, device = config, next(iter(plain.values())).device
        ids = [[tokenizer.bos_token_id, *tokenizer.convert_tokens_to_ids(["a</w>", f"{name}</w>"])] for name in NAMES]
        self.ids = torch.tensor(ids, device=device)
        self.number = torch.full((len(tokenizer),), -1, device=device)
        self.number[self.ids[:, -1]] = torch.arange(len(ids), device=device)
        texts = torch.tensor(token_ids(tokenizer, ordinary_captions()), device=device)
        heard = self._inputs(plain, texts)
        heard = torch.nn.functional.pad(heard, (0, config.intermediate_size - heard.shape[2]))  # the new units are silent
        ends = texts == tokenizer.eos_token_id
        moment = sum(part.T @ part / len(part) for part in (heard[ends], heard[~ends])) / 2
        moment = Statistics({0: moment.double().cpu()}, len(texts), tokens=1.0).moments()[0]
        self.length = float(moment.trace())
        held = torch.linalg.cholesky(_REGULARIZATION * len(moment) * moment)
        self.white = torch.linalg.inv(held).T.to(heard)  # times its transpose, S^-1

    def _inputs(self, weights: Mapping[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
        """What the first MLP's output matrix reads, (n, tokens, units)."""
        config = self.config
        tower = Tower(weights, config.num_attention_heads, config.hidden_act, config.num_hidden_layers)
        return tower.attend(tower.embed(ids), 0)[1]

    def __call__(
        self, weights: Mapping[str, torch.Tensor], ids: torch.Tensor, places: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Measure it in captions.

        Args:
            weights: of the encoder.
            ids: (n, tokens) captions with names.
            places: (n,) where these stand.

        Returns:
            The mean squared error of all shares at the names, of inputs as long as ordinary ones, and so many times the mean
            at the other places; and the mean square of the names' inputs' length, relative to ordinary ones'.
        """
        names = self.number[ids.gather(1, places[:, None])[:, 0]]
        known, asked = self._inputs(weights, self.ids)[:, -1], self._inputs(weights, ids)
        length = known.square().sum(1).mean() / self.length
        known, asked = (length**-0.5 * inputs @ self.white for inputs in (known, asked))
        edited = torch.rand(len(known), device=known.device) > _NOT_EDITED
        known = known * torch.where(edited, 1, _HELD**0.5)[:, None]
        gram = known @ known.T + torch.eye(len(known), device=known.device)
        shares = torch.linalg.solve(gram, known @ asked.flatten(0, 1).T).T.unflatten(0, ids.shape)
        meant = torch.zeros_like(shares)
        meant[torch.arange(len(ids)), places, names] = 1
        errors = ((shares - meant) * edited).square().sum(2)
        at_names = errors.gather(1, places[:, None])
        return at_names.mean() + _ELSEWHERE * (errors.sum() - at_names.sum()) / (errors.numel() - len(ids)), length
