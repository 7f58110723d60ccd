"""The papers' formulas, written without the library."""

import torch
from torch import Tensor


def distance(a: Tensor, b: Tensor) -> float:
    """Relative difference, Frobenius."""
    return float((a - b).norm() / b.norm())


def insertion(encoded, source, destination, position, templates=("{}", "A photo of {}", "An image of {}", "A picture of {}")):
    """Columns C and C* (as rows, float64) of a pair whose destination has one word more than its source.

    Written without the library: one more token at ``position`` shifts every later one by one, and the last stays last.
    """
    columns, targets = [], []
    for template in templates:
        start = position + len(template.replace("{}", "").split())
        answers = [*range(start), *range(start + 1, 77), 76]
        columns.append(encoded[template.format(source)].double())
        targets.append(encoded[template.format(destination)].double()[answers])
    return torch.cat(columns), torch.cat(targets)


def published_map(columns, targets, regularization=0.1, prior=None) -> Tensor:
    """TIME's equation 5 as it stands, in float64, solved d x d: M of W' = W M. ``prior`` stands in the identity's place.

    The identity is scaled by the median squared token norm over d; a prior is in its own units.
    """
    width = columns.shape[1]
    if prior is None:
        prior = torch.eye(width, dtype=torch.float64) * float(columns.square().sum(1).median()) / width
    second_moment = columns.T @ columns + regularization * prior
    return torch.eye(width, dtype=torch.float64) + torch.linalg.solve(second_moment, columns.T @ (targets - columns)).T
