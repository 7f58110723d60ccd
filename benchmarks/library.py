"""What needs no host: solving and applying, the memory that an edit holds, and many pairs at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from edit_assumption.editing.closed_form import solve
from edit_assumption.editing.columns import columns_of
from edit_assumption.editing.context_map import ContextMap
from edit_assumption.editing.edit import make_edit

from . import inputs, reference
from .rows import Row
from .timing import alternate, readable

_LAMBDA = 0.1
_MB = 1e6


def solve_and_apply(quick: bool) -> list[Row]:
    """Ours against the paper's equation in float32, in time and in distance from the float64 optimum.

    Ours includes aligning the prompts; the others are given aligned tokens.
    """
    recipe, weights = inputs.recipe("identity"), inputs.projections()
    prompts = recipe.prompts()
    encoded = dict(zip(prompts, inputs.encode(prompts), strict=True))
    columns = columns_of(recipe, encoded)
    sentences = columns.source.split(inputs.LENGTH), columns.destination.split(inputs.LENGTH)

    def map_of() -> ContextMap:
        return solve(columns_of(recipe, encoded), _LAMBDA, scaled=False).context_map

    def ours() -> list[torch.Tensor]:
        context_map = map_of()
        return [context_map.apply_to_weight(weight) for weight in weights]

    def written_out() -> list[torch.Tensor]:
        return reference.edit_plainly(weights, *sentences, _LAMBDA)

    def in_place() -> list[torch.Tensor]:
        return reference.edit_in_place(weights, *sentences, _LAMBDA)

    def products() -> list[torch.Tensor]:
        return reference.edit_with_products(weights, *sentences, _LAMBDA)

    edits = (ours, written_out, in_place, products)
    best = reference.optimum(weights, *sentences, _LAMBDA)
    distances = [reference.distance(weights, edit(), best) for edit in edits]
    map_of()
    ours_time, *others, solve_time = alternate(2 if quick else 3, *edits, map_of, warm=True)
    ratios = [other / ours_time for other in others]
    shown = [readable(other) for other in others]
    mine = f"{readable(ours_time)} (of which align and solve {readable(solve_time)})"
    size = f"{len(weights)} projections, {len(prompts) // 2} sentences, float32, on the identity"
    return [
        Row(
            "solve and apply, against the paper's equation written out",
            ratios[0],
            "×",
            f"{mine} against {shown[0]}; {size}",
            "≥ 100×",
            ratios[0] >= 100,
        ),
        Row("the same, against a loop that adds the outer products in place", ratios[1], "×", f"against {shown[1]}"),
        Row("the same, against matrix products for the sums", ratios[2], "×", f"against {shown[2]}"),
        Row(
            "distance of W' - W from the float64 optimum",
            distances[0],
            "",
            "relative, Frobenius; written out {:.1e}, in place {:.1e}, with matrix products {:.1e}".format(*distances[1:]),
            "below the reference's",
            distances[0] < min(distances[1:]),
        ),
    ]


def with_captions(quick: bool, moment: torch.Tensor) -> Row:
    """What the default's regularizer costs beside the paper's."""
    recipe = inputs.recipe("captions")
    prompts = recipe.prompts()
    encoded = inputs.encode(prompts)
    edits = [partial(make_edit, each, lambda _: encoded, moment=moment) for each in (recipe, inputs.recipe("identity"))]
    captions, identity = alternate(3 if quick else 5, *edits)
    return Row(
        "align and solve with the captions' second moment, the default, against the identity",
        captions / identity,
        "×",
        f"{readable(captions)} against {readable(identity)}; 1 pair in {len(prompts) // 2} sentences",
    )


def memory(moment: torch.Tensor) -> list[Row]:
    """Bytes that an edit keeps, and that the prompts it was made from keep while they are cached."""
    recipe = inputs.recipe("captions")
    prompts = recipe.prompts()
    encoded = dict(zip(prompts, inputs.encode(prompts), strict=True))
    edit = make_edit(recipe, lambda texts: [encoded[text] for text in texts], moment=moment)
    identity = edit.encoder.embeddings.nbytes
    held = (edit.context_map.nbytes + identity) / _MB
    cached = sum(prompt.embeddings.nbytes for prompt in encoded.values()) / _MB
    return [
        Row(
            "memory held by an edit",
            held,
            "MB",
            f"map of rank {edit.context_map.rank} {edit.context_map.nbytes / _MB:.2f} MB, sample of the text encoder "
            f"{identity / _MB:.2f} MB",
            "< 3 MB",
            held < 3,
        ),
        Row(
            "memory held by the encoder's cache for it",
            cached,
            "MB",
            f"{len(prompts)} prompts; the cache is shared by all edits and bounded",
        ),
    ]


def many_pairs(quick: bool, moment: torch.Tensor) -> Iterator[Row]:
    """Time to align and solve ever more pairs together."""
    first = 0.0
    for pairs in (1, 10, 100) if quick else (1, 10, 100, 1000):
        recipe = inputs.synthetic_recipe(pairs)
        prompts = recipe.prompts()
        encoded = inputs.synthetic_encode(prompts)
        rounds = 1 if pairs > 100 else 3 if quick else 5
        once = partial(make_edit, recipe, lambda _, encoded=encoded: encoded, moment=moment)
        (time,) = alternate(rounds, once, warm=pairs > 100)
        first = first or time
        if pairs == 1:
            continue
        yield Row(
            f"{pairs:,} pairs solved together, against one pair",
            time / first,
            "×",
            f"{readable(time)} against {readable(first)} for one; {len(prompts) * inputs.LENGTH // 2:,} source tokens, "
            "encoding left out",
        )


def measure(quick: bool) -> tuple[list[Row], list[Row]]:
    """The rows to print before and after the host's."""
    moment = inputs.moment()
    return [*solve_and_apply(quick), with_captions(quick, moment)], [*memory(moment), *many_pairs(quick, moment)]
