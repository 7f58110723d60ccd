"""Stage two: all concepts' values into the MLP output matrices of a few layers, in closed form (EMCID, after MEMIT).

In each edited layer the change D of its matrix W minimises, over the keys k_i of the concepts' sentences with what is still
missing of their values, r_i, divided by the number of layers left,

    sum_i w_i ||D k_i - r_i||² + lambda mean_over_captions ||D k||²

whose solution, with K and R the k_i and r_i as columns, times the root of w_i, and S the captions' second moment
(:mod:`.statistics`), is

    D = R K^T (lambda S + K K^T)^-1  =  R (lambda I + K^T S^-1 K)^-1 K^T S^-1

A concept's sentences share a weight of 1. (MEMIT takes the mean of their keys for one key; with few captions S is nearly
singular, and what the mean says of each sentence is then anyone's guess.) The residual is MEMIT's (Meng et al., ICLR 2023): the
value that the last edited layer's stream is to have, minus what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from ..cholesky import cholesky
from ..errors import EditError
from .following import Following
from .keys import Places, SubjectStreams
from .sentences import Sentences
from .tower import Tower


def solve_layer(
    keys: torch.Tensor, residual: torch.Tensor, moment: torch.Tensor, regularization: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The change of one matrix, in float64, by whichever side is smaller.

    Args:
        keys: (n, key width)
        residual: (n, width) what the matrix is to answer beside what it answers now.
        moment: S, (key width, key width), symmetric and positive definite.
        regularization: lambda, above 0: as many tokens of captions weigh as much as a concept.

    Returns:
        D as factors, (width, rank) and (rank, key width), rank being the smaller of n and key width.

    Raises:
        EditError: it cannot be solved, or is not finite.
    """
    keys, residual, moment = keys.double(), residual.double(), moment.double()
    if not regularization > 0:
        raise EditError(f"The regularization is {regularization:g}; give a number greater than 0.")
    if len(keys) <= keys.shape[1]:
        seen = torch.cholesky_solve(keys.T, _factor(moment)).T  # K^T S^-1
        gram = keys @ seen.T
        gram.diagonal().add_(regularization)
        up, down = residual.T, torch.cholesky_solve(seen, _factor((gram + gram.T) / 2))
    else:
        up = torch.cholesky_solve(keys.T @ residual, _factor(regularization * moment + keys.T @ keys)).T
        down = torch.eye(keys.shape[1], dtype=torch.float64)
    if not (up.isfinite().all() and down.isfinite().all()):
        raise EditError("The edit is not finite; raise the regularization.")
    return up, down


def _factor(matrix: torch.Tensor) -> torch.Tensor:
    return cholesky(matrix, "raise the regularization, or compute the statistics from more captions")


def write_shifts(
    tower: Tower,
    sentences: Sentences,
    shifts: torch.Tensor,
    moments: Mapping[int, torch.Tensor],
    regularization: float,
    layers: Sequence[int],
    advance: Callable[[], None] = lambda: None,
    behind: Following | None = None,
) -> Tower:
    """The tower with every concept's shift written into its layers.

    Args:
        tower: as it is now.
        sentences: of the concepts.
        shifts: (concepts, width), by how much each subject's stream after the last of ``layers`` is to change.
        moments: layer to S.
        regularization: lambda.
        layers: that are changed, rising.
        advance: called after each layer; may raise to stop.
        behind: tokens behind subjects that are to change with them.

    Returns:
        The tower with its changes, float32 factors.
    """
    share, places = sentences.share().double(), Places(sentences.ids, sentences.subject)
    if behind is not None:
        share, places = torch.cat([share, behind.share]), places.and_those(behind.places)
    root = share.sqrt()[:, None]
    streams, values = SubjectStreams(tower, places), None
    for place, layer in enumerate(layers):
        keys, stream = streams.keys_and_stream(tower, layer, layers[-1])
        if values is None:  # nothing is changed yet
            values = stream.clone()
            values[: len(sentences.ids)] += shifts.double()[sentences.concept]
            if behind is not None:
                values[len(sentences.ids) :] = behind.values
        missing = (values - stream) / (len(layers) - place)
        up, down = solve_layer(keys * root, missing * root, moments[layer], regularization)
        tower = tower.changed(layer, up.float(), down.float())
        advance()
    return tower
