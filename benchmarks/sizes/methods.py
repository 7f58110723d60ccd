"""What is run for each method at a size: its solve, its apply, and what its result takes on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...editing.assumptions.edit import Edit, solve_edit
from ...editing.concepts.update import solve_layer
from ...editing.edit_file import save_edit
from .. import concepts_reference
from . import encoders, peers
from .model_sizes import WINDOW, Matrices
from .problem import Problem, moment_of, weight_of

OURS, TIME, UCE = "Edit Assumption", "TIME, diffusers' class", "UCE, our reading"
CONCEPTS, EMCID = "Edit Assumption, concepts' second stage", "EMCID's second stage, our reading"
READ, ENCODE = "floor: the projections read once", "floor: one batched encoding"
AGAINST = {TIME: OURS, UCE: OURS, EMCID: CONCEPTS, READ: OURS, ENCODE: OURS}
"""Method to the one of ours that it is measured against."""
IN_TURN = (TIME, ENCODE)
"""Methods that take one pair as long as the next, so that few of many pairs tell of all."""
_REGULARIZATION = {CONCEPTS: 100.0, EMCID: 4000.0}
"""Of the second stage: the default here, and that of the release."""


@dataclass(frozen=True)
class Part:
    """Something that is timed once for ``count`` times that it is needed."""

    count: float
    run: Callable[[], Any]


@dataclass(frozen=True)
class Result:
    """What follows from a method's solve.

    Args:
        apply: how the model gets the edit; empty where the solve gives edited weights.
        file: megabytes of what is saved; None for what saves nothing.
        lora: the same as a LoRA; None where there is none.
        details: what is to be known of it.
    """

    apply: Sequence[Part] = ()
    file: float | None = None
    lora: float | None = None
    details: str = ""


@dataclass(frozen=True)
class Method:
    """A method, ready to be measured.

    Args:
        name: for tables.
        solve: what is timed; its answers go to ``then``.
        then: answers of ``solve`` to what follows.
        beside: megabytes that the whole model's projections need beside what is measured on a few.
        measured: on what part it is measured; empty where it is measured whole.
    """

    name: str
    solve: Sequence[Part]
    then: Callable[[Sequence[Any]], Result]
    beside: float = 0.0
    measured: str = ""


def _each(problem: Problem) -> Iterator[tuple[Matrices, torch.Tensor]]:
    """A projection of each shape."""
    for matrices in problem.size.projections:
        yield matrices, weight_of(matrices, problem.device)


def _of_each(problem: Problem) -> str:
    shapes, count = len(problem.size.projections), problem.size.count
    return "" if shapes == count else f"{shapes} of {count} projections, one of each shape"


def ours(problem: Problem) -> Method:
    """The default, and W M for every projection."""

    def then(answers: Sequence[Edit]) -> Result:
        (edit,) = answers
        parts, lora = [], 0
        for matrices, weight in _each(problem):
            context_map = edit.pooled_map if matrices.pooled else edit.context_map
            if context_map is None:
                raise ValueError("this edit leaves the pooled embedding")
            parts.append(Part(matrices.count, partial(context_map.to(problem.device).apply_to_weight, weight)))
            lora += 4 * matrices.count * context_map.rank * (matrices.out + matrices.width)
        details = f"rank {edit.context_map.rank:,}"
        return Result(parts, file_size(edit), lora / 1e6, details)

    solve = Part(1, partial(solve_edit, problem.recipe, problem.encoded, problem.moment))
    applied = _of_each(problem)
    return Method(OURS, [solve], then, measured=applied and f"apply: {applied}")


def file_size(edit: Edit) -> float:
    """Megabytes of an edit's file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edit.safetensors"
        save_edit(edit, path)
        return path.stat().st_size / 1e6


def _saved(matrices: Sequence[Matrices]) -> Callable[[Sequence[Any]], Result]:
    """Whole matrices as a file."""
    return lambda answers: Result(file=sum(each.nbytes for each in matrices) / 1e6)


def time_published(problem: Problem) -> Method:
    """TIME on the projections that read tokens.

    The class keeps a copy of all, and the values of a pair for each.

    Raises:
        NoPeerError: this diffusers has it no more.
    """
    peers.published_class()
    pairs = [(pair.source, pair.destination) for pair in problem.recipe.pairs]
    each = [(matrices, weight) for matrices, weight in _each(problem) if not matrices.pooled]
    parts = [
        Part(matrices.count, partial(peers.time_by_diffusers, [weight], pairs, problem.encoded)) for matrices, weight in each
    ]
    matrices = [matrices for matrices, _ in each]
    beside = sum(each.nbytes + 4 * WINDOW * each.count * each.out for each in matrices) / 1e6
    count = sum(each.count for each in matrices)
    measured = "" if count == len(parts) else f"{len(parts)} of {count} projections, one of each shape"
    return Method(TIME, parts, _saved(matrices), beside, measured)


def uce(problem: Problem) -> Method:
    """UCE's loop on all projections; the script keeps two copies of each, and what each says of every destination."""
    rows = {pooled: problem.last_words(pooled) for pooled in {matrices.pooled for matrices in problem.size.projections}}
    parts = [
        Part(matrices.count, partial(peers.uce_by_modules, [weight], *rows[matrices.pooled]))
        for matrices, weight in _each(problem)
    ]
    projections = problem.size.projections
    beside = sum(2 * each.nbytes + 4 * problem.pairs * each.count * each.out for each in projections) / 1e6
    return Method(UCE, parts, _saved(projections), beside, _of_each(problem))


def _second_stage(problem: Problem, name: str) -> Iterator[tuple[Matrices, Callable[[], Any]]]:
    for matrices in problem.size.mlps:
        generator = torch.Generator().manual_seed(5)
        keys, residual = (
            torch.randn(problem.pairs, width, generator=generator).to(problem.device)
            for width in (matrices.width, matrices.out)
        )
        write = concepts_reference.write if name == EMCID else solve_layer
        yield matrices, partial(write, keys, residual, moment_of(matrices.width, problem.device), _REGULARIZATION[name])


def _first_of_each(problem: Problem) -> str:
    layers = sum(matrices.count for matrices in problem.size.mlps)
    return f"{len(problem.size.mlps)} of {layers} layers"


def emcid(problem: Problem) -> Method:
    """EMCID's second stage, a key for each pair, and its change on every matrix."""
    chosen = list(_second_stage(problem, EMCID))

    def then(answers: Sequence[torch.Tensor]) -> Result:
        parts = [
            Part(matrices.count, partial(torch.add, weight_of(matrices, problem.device), change.float()))
            for (matrices, _), change in zip(chosen, answers, strict=True)
        ]
        return Result(parts, sum(matrices.nbytes for matrices, _ in chosen) / 1e6)

    parts = [Part(matrices.count, run) for matrices, run in chosen]
    return Method(EMCID, parts, then, measured=_first_of_each(problem))


def concepts(problem: Problem) -> Method:
    """The same keys, layers and values by this project's second stage; its change stays in factors."""
    chosen = list(_second_stage(problem, CONCEPTS))

    def then(answers: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Result:
        parts, size = [], 0
        for (matrices, _), answer in zip(chosen, answers, strict=True):
            up, down = (factor.float() for factor in answer)
            parts.append(Part(matrices.count, partial(torch.addmm, weight_of(matrices, problem.device), up, down)))
            size += matrices.count * (up.nbytes + down.nbytes)
        return Result(parts, size / 1e6, size / 1e6)

    parts = [Part(matrices.count, run) for matrices, run in chosen]
    return Method(CONCEPTS, parts, then, measured=_first_of_each(problem))


def read_once(problem: Problem) -> Method:
    """Every number of every projection, once."""
    projections = problem.size.projections
    whole = [torch.ones(each.count, each.out, each.width, device=problem.device) for each in projections]
    details = f"{problem.size.nbytes / 1e6:,.0f} MB"
    return Method(READ, [Part(1, lambda: [weights.sum() for weights in whole])], lambda answers: Result(details=details))


def encode_once(problem: Problem) -> Method:
    """Both prompts of every pair in one batch, through text encoders of random weights."""
    parts = [
        Part(encoder.layers / encoder.run, encoders.encoding(encoder, 2 * problem.pairs, problem.device))
        for encoder in problem.size.encoders
    ]
    some = [encoder for encoder in problem.size.encoders if encoder.run < encoder.layers]
    measured = ", ".join(f"{encoder.run} of {encoder.layers} layers of {encoder.kind} {encoder.width}" for encoder in some)
    return Method(ENCODE, parts, lambda answers: Result(), measured=measured)


def builders(problem: Problem) -> dict[str, Callable[[], Method]]:
    """Name to what makes the method, of those that know a model of this size."""
    every: dict[str, Callable[[Problem], Method]] = {
        OURS: ours, TIME: time_published, UCE: uce, CONCEPTS: concepts, EMCID: emcid, READ: read_once, ENCODE: encode_once,
    }  # fmt: skip
    known = [name for name in every if problem.size.mlps or name not in (CONCEPTS, EMCID)]
    return {name: partial(every[name], problem) for name in known}
