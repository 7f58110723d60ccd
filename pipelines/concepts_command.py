"""The command ``concepts``: lines of concepts to an edit file, by one process or by several."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from ..editing.concepts.balance import wanted_shares
from ..editing.concepts.concept_edit import ConceptEdit, write_concept_values
from ..editing.concepts.concept_lora import concept_family, concept_lora_tensors
from ..editing.concepts.concept_recipe import ConceptRecipe
from ..editing.concepts.concept_report import describe_concepts, shares_remarks, statistics_remarks
from ..editing.edit_file import save_edit
from ..editing.errors import EditError
from ..editing.lora_file import lora_metadata, save_lora
from ..editing.whole_file import check_place, save_somewhere
from ..pocket.model import GUIDANCE, STEPS
from .balancing import Rounds
from .command_inputs import check_pocket_words, concept_text, load_pipeline, settings_of, user_pictures
from .pipeline_concepts import concept_values, statistics_of, text_encoders
from .pipeline_judges import ClipJudge, Judge, pocket_judge
from .processes import launched
from .shared_values import shared_search

_USUAL = 25, 7.5
"""Steps and guidance of pictures, where the model is not the pocket model."""


def run_concepts(options: argparse.Namespace) -> str:
    """Search, solve, write; what was done, or nothing from the processes beside the main one.

    Args:
        options: of :func:`~.concept_arguments.add_concepts`.

    Raises:
        EditError: something that was asked cannot be done.
        KeyboardInterrupt: it was stopped; what was found by then is in the cache's folder.
    """
    settings = settings_of(options)
    recipe = settings.recipe_of_text(concept_text(options.lines))
    if options.model is None:
        check_pocket_words(recipe)
    if options.pictures and recipe.mode != "full":
        raise EditError("Pictures are for the mode full; add --mode full, or leave --pictures out.")
    processes = launched()
    if processes.main:
        _check_places(options.out, options.lora)
    rounds = _rounds(options, recipe, processes.device) if processes.main else None
    pipe = load_pipeline(options.model, recipe.mode != "text" or rounds is not None, processes.device)
    pictures = {}
    if options.pictures:
        pictures = user_pictures(options.pictures, recipe.concepts, pipe.unet.config.sample_size * pipe.vae_scale_factor)
    encoders = text_encoders(pipe)
    folder = options.cache / "concepts"
    with tqdm(desc="concepts", unit="concept", disable=not processes.main) as bar:
        values = concept_values(
            pipe, recipe, encoders, None, pictures, folder, _progress(bar), options.seed, shared_search(processes)
        )
    if not processes.main:
        return ""
    texts = sum(len(settings.captions) + len(encoder.words) for encoder in encoders)
    with tqdm(desc="captions and words", unit="text", total=texts) as bar:
        statistics = statistics_of(recipe, encoders, settings.captions, folder / "statistics", _rising(bar))

    def write(tried: ConceptRecipe) -> ConceptEdit:
        return write_concept_values(tried, encoders, statistics, values)

    if rounds is None:
        edit, last = write(recipe), None
    else:
        with tqdm(desc="balancing", unit="round", total=rounds.budget) as bar:
            edit, last = rounds.run(pipe, recipe, write, bar.update)
    shared = [f"searched by {processes.count} processes"] if processes.count > 1 else []
    remarks = [*shares_remarks(recipe, last), *statistics_remarks(statistics), *shared]
    return _written(edit, describe_concepts(edit, remarks), options.out, options.lora)


def _rounds(options: argparse.Namespace, recipe: ConceptRecipe, device: torch.device) -> Rounds | None:
    """How to balance, if that is asked; checked, and the judge loaded, before the search, which takes longest."""
    if not options.balance:
        if options.judge:
            raise EditError("A judge is for balancing; add --balance 4, or leave --judge out.")
        return None
    if options.balance < 0 or options.balance_pictures < 1:
        raise EditError("Balancing needs rounds and pictures; give --balance and --balance-pictures numbers above 0.")
    wanted_shares(recipe)
    if options.judge:
        judge: Judge = ClipJudge(options.judge, device)
    elif options.model is None:
        judge = pocket_judge()
    else:
        raise EditError(
            "Balancing needs a judge of the pictures; add --judge with a CLIP model, such as openai/clip-vit-large-patch14."
        )
    steps, guidance = _USUAL if options.model else (STEPS, GUIDANCE)
    return Rounds(
        judge, options.balance, options.balance_pictures, options.steps or steps,
        guidance if options.guidance is None else options.guidance, options.seed,
    )  # fmt: skip


def _progress(bar: tqdm) -> Callable[[int, int], None]:
    def advance(done: int, of: int) -> None:
        bar.total = of
        bar.update(done - bar.n)

    return advance


def _rising(bar: tqdm) -> Callable[[int], None]:
    """For one encoder's captions after the other's."""
    before = last = 0

    def advance(seen: int) -> None:
        nonlocal before, last
        if seen < last:
            before += last
        last = seen
        bar.update(before + seen - bar.n)

    return advance


def _check_places(out: Path, lora: Path | None) -> None:
    for path in filter(None, (out, lora)):
        if path.suffix.lower() != ".safetensors":
            raise EditError(f"“{path}” cannot be an edit or a LoRA; give a name that ends in .safetensors.")
        check_place(path)
    if lora and lora.parent.resolve() / lora.name == out.parent.resolve() / out.name:
        raise EditError(f"The edit and the LoRA cannot both be “{out}”; give them different names.")


def _written(edit: ConceptEdit, report: str, out: Path, lora: Path | None) -> str:
    """The report with the files' places."""
    wrong = [_wrong(lambda path: save_edit(edit, path), out, "The edit")]
    if lora:
        tensors = concept_lora_tensors(edit)
        metadata = lora_metadata(edit, concept_family(edit), tensors, lora.stem)
        wrong.append(_wrong(lambda path: save_lora(path, tensors, metadata), lora, "The LoRA"))
    if any(wrong):
        raise EditError("\n".join([report, *filter(None, wrong)]))
    return "\n".join([report, f"edit: {out}", *([f"LoRA: {lora}"] if lora else [])])


def _wrong(write: Callable[[Path], object], path: Path, what: str) -> str:
    """Write; where else it went if it could not be written there, "" if it could."""
    try:
        save_somewhere(write, path, what)
    except EditError as error:
        return str(error)
    return ""
