"""What needs no host: solving and applying, the memory that an edit holds, and many pairs at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch

from ..editing.assumptions.closed_form import EXACT, solve, token_scale
from ..editing.assumptions.context_map import ContextMap
from ..editing.assumptions.edit import VISIBLE, solve_edit
from ..editing.assumptions.token_columns import columns_of, parts_of
from ..editing.encoding import EncodedPrompt
from . import inputs, reference
from .rows import Row, at_least, below
from .timing import alternate, memory_peak, readable

_LAMBDA = 0.1
_MB = 1e6


def solve_and_apply(quick: bool) -> list[Row]:
    """Ours against the paper's equation in float32, in time and in distance from the float64 optimum.

    Ours includes aligning the prompts; the others are given aligned tokens, and take as long whatever these are. A text encoder
    of random weights has nothing in its tokens that a map could leave out; a trained one has.
    """
    recipe, weights = inputs.recipe("identity"), inputs.projections()
    prompts = recipe.prompts()
    random = dict(zip(prompts, inputs.encode(prompts), strict=True))
    trained = dict(zip(prompts, inputs.trained_encode(prompts), strict=True))

    def map_of(encoded: Mapping[str, EncodedPrompt], tolerance: float = VISIBLE) -> ContextMap:
        return solve(parts_of(recipe, encoded), _LAMBDA, scaled=False, tolerance=tolerance).context_map

    def ours(encoded: Mapping[str, EncodedPrompt], tolerance: float = VISIBLE) -> list[torch.Tensor]:
        context_map = map_of(encoded, tolerance)
        return [context_map.apply_to_weight(weight) for weight in weights]

    def sentences(encoded: Mapping[str, EncodedPrompt]) -> tuple[reference.Tokens, reference.Tokens]:
        columns = columns_of(recipe, encoded)
        return columns.source.split(inputs.LENGTH), columns.destination.split(inputs.LENGTH)

    plain = (reference.edit_plainly, reference.edit_in_place, reference.edit_with_products)
    both = partial(ours, random), partial(ours, trained)
    edits = (*both, *(partial(edit, weights, *sentences(random), _LAMBDA) for edit in plain))
    best = reference.optimum(weights, *sentences(random), _LAMBDA)
    exact = reference.distance(weights, ours(random, EXACT), best)
    distances = [reference.distance(weights, edit(), best) for edit in edits[2:]]
    seen = _distance_on_tokens(weights, both[1](), sentences(trained))
    solves = partial(map_of, random), partial(map_of, trained)
    for function in (both[0], *solves):
        function()
    ours_time, trained_time, *others, solve_time, trained_solve = alternate(2 if quick else 3, *edits, *solves, warm=True)
    shown = [readable(other) for other in others]
    mine, alike = (
        f"{readable(time)} (of which align and solve {readable(solving)}, rank {solved().rank})"
        for time, solving, solved in zip((ours_time, trained_time), (solve_time, trained_solve), solves, strict=True)
    )
    size = f"{len(weights)} projections, {len(prompts) // 2} sentences, float32, on the identity"
    against_plain = others[0] / trained_time, min(others[1:]) / trained_time
    return [
        at_least(
            100,
            "solve and apply, against the paper's equation written out",
            others[0] / ours_time,
            f"{mine} against {shown[0]}; {size}, random tokens",
        ),
        Row(
            "the same, against a loop that adds the outer products in place", others[1] / ours_time, "×", f"against {shown[1]}"
        ),
        Row("the same, against matrix products for the sums", others[2] / ours_time, "×", f"against {shown[2]}"),
        at_least(
            250,
            "solve and apply on a trained encoder's tokens, against the paper's equation written out",
            against_plain[0],
            f"{alike} against {shown[0]}",
        ),
        at_least(
            9,
            "solve and apply on a trained encoder's tokens, against the best plain formulation",
            against_plain[1],
            f"against {readable(min(others[1:]))}",
        ),
        below(
            min(distances),
            "distance of W' - W from the float64 optimum, nothing left out",
            exact,
            "",
            "relative, Frobenius; written out {:.1e}, in place {:.1e}, with matrix products {:.1e}".format(*distances),
            "below the reference's",
        ),
        below(
            1e-3,
            "the same by what the trained encoder's tokens become, with the default's tolerance",
            seen,
            "",
            "relative, Frobenius",
        ),
    ]


def _distance_on_tokens(
    weights: list[torch.Tensor], edited: list[torch.Tensor], sentences: tuple[reference.Tokens, reference.Tokens]
) -> float:
    """||(W' - W*) C|| / ||(W* - W) C||, Frobenius, over all projections; W* is the float64 optimum."""
    tokens = torch.cat(list(sentences[0])).double().T
    best = reference.optimum(weights, *sentences, _LAMBDA)
    images = [[weight.double() @ tokens for weight in each] for each in (weights, edited, best)]
    return reference.distance(*images)


def with_captions(quick: bool, moment: torch.Tensor) -> Row:
    """What the default's regularizer costs beside the paper's."""
    recipe = inputs.recipe("captions")
    prompts = recipe.prompts()
    encoded = dict(zip(prompts, inputs.encode(prompts), strict=True))
    edits = [partial(solve_edit, each, encoded, moment) for each in (recipe, inputs.recipe("identity"))]
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
    rows = []
    for name, encoded, held_by, most in (
        ("an edit", inputs.trained_encode(prompts), inputs.trained_moment(), 1.0),
        ("an edit of random tokens", inputs.encode(prompts), moment, 3.0),
    ):
        edit = solve_edit(recipe, dict(zip(prompts, encoded, strict=True)), held_by)
        identity = edit.encoder.embeddings.nbytes
        details = (
            f"map of rank {edit.context_map.rank} {edit.context_map.nbytes / _MB:.2f} MB, sample of the text encoder "
            f"{identity / _MB:.2f} MB"
        )
        rows.append(below(most, f"memory held by {name}", (edit.context_map.nbytes + identity) / _MB, "MB", details))
    cached = sum(prompt.embeddings.nbytes for prompt in encoded) / _MB
    details = f"{len(prompts)} prompts; the cache is shared by all edits and bounded"
    return [*rows, Row("memory held by the encoder's cache for it", cached, "MB", details)]


def many_pairs(quick: bool, moment: torch.Tensor) -> Iterator[Row]:
    """Time to align and solve ever more pairs together."""
    times: dict[int, float] = {}
    for pairs in (1, 10, 100) if quick else (1, 10, 100, 1000):
        recipe = inputs.synthetic_recipe(pairs)
        prompts = recipe.prompts()
        encoded = dict(zip(prompts, inputs.synthetic_encode(prompts), strict=True))
        rounds = 1 if pairs > 100 else 3 if quick else 5
        once = partial(solve_edit, recipe, encoded, moment)
        before = memory_peak()
        (times[pairs],) = alternate(rounds, once, warm=pairs > 100)
        grown = memory_peak() - before
        if pairs == 1:
            continue
        tokens = len(prompts) * inputs.LENGTH // 2
        details = f"{readable(times[pairs])} against {readable(times[1])} for one; {tokens:,} source tokens, encoding left out"
        yield Row(f"{pairs:,} pairs solved together, against one pair", times[pairs] / times[1], "×", details)
        if pairs == 1000:
            details = f"{readable(times[1000])} against {readable(times[100])}"
            yield below(12, "1,000 pairs solved together, against 100", times[1000] / times[100], "×", details)
            yield below(1000, "memory for 1,000 pairs beyond their embeddings", grown, "MB", "by the process's peak")


def rounding(quick: bool) -> Iterator[Row]:
    """How far many pairs' map is from float64's, over kinds of tokens and widths."""
    for kind, columns_of_kind in inputs.KINDS.items():
        errors = {}
        for width in (768,) if quick else (768, 2048, 4096):
            columns = columns_of_kind(width + width // 4, width)
            tokens, strength = columns.source.double(), _LAMBDA * token_scale(columns)
            system = tokens.T @ tokens + strength * torch.eye(width, dtype=torch.float64)
            best = torch.linalg.solve(system, tokens.T @ columns.shift()).T
            context_map = solve(columns, strength, scaled=False).context_map
            errors[width] = float((context_map.left.double() @ context_map.right.double() - best).norm() / best.norm())
        name = f"distance of many pairs of {kind} tokens from float64, nothing left out"
        yield below(3e-7, name, max(errors.values()), "", _each(errors))


def _each(errors: Mapping[int, float]) -> str:
    return ", ".join(f"width {width:,}: {error:.1e}" for width, error in errors.items())


def measure(quick: bool) -> tuple[list[Row], list[Row]]:
    """The rows to print before and after the host's."""
    moment = inputs.moment()
    after = [*memory(moment), *many_pairs(quick, moment), *rounding(quick)]
    return [*solve_and_apply(quick), with_captions(quick, moment)], after
