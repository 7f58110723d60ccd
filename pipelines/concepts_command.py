"""The command ``concepts``: lines of concepts to an edit file, by one process or by several."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from ..editing.concepts.edit import ConceptEdit, write_concept_values
from ..editing.concepts.lora import concept_family, concept_lora_tensors
from ..editing.concepts.report import describe_concepts
from ..editing.edit_file import save_edit
from ..editing.errors import EditError
from ..editing.lora import lora_metadata, save_lora
from .asked import check_pocket_words, concepts_of, load_pipeline, settings_of, user_pictures
from .concepts import concept_values, statistics_of, text_encoders
from .processes import launched
from .shared_values import shared_search


def run_concepts(options: argparse.Namespace) -> str:
    """Search, solve, write; what was done, or nothing from the processes beside the main one.

    Args:
        options: of :func:`~.arguments.add_concepts`.

    Raises:
        EditError: something that was asked cannot be done.
        KeyboardInterrupt: it was stopped; what was found by then is in the cache's folder.
    """
    settings = settings_of(options)
    recipe = settings.recipe(concepts_of(options.lines))
    if options.model is None:
        check_pocket_words(recipe)
    if options.pictures and recipe.mode != "full":
        raise EditError("Pictures are for the mode full; add --mode full, or leave --pictures out.")
    processes = launched()
    pipe = load_pipeline(options.model, recipe.mode != "text", processes.device)
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
    with tqdm(desc="captions", unit="caption", total=len(encoders) * len(settings.captions)) as bar:
        statistics = statistics_of(recipe, encoders, settings.captions, folder / "statistics", _rising(bar))
    edit = write_concept_values(recipe, encoders, statistics, values)
    shared = [f"searched by {processes.count} processes"] if processes.count > 1 else []
    return describe_concepts(edit, [*shared, *_write(edit, options.out, options.lora)])


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


def _write(edit: ConceptEdit, out: Path, lora: Path | None) -> list[str]:
    try:
        for path in filter(None, (out, lora)):
            path.parent.mkdir(parents=True, exist_ok=True)
        save_edit(edit, out)
        if lora:
            tensors = concept_lora_tensors(edit)
            save_lora(lora, tensors, lora_metadata(edit, concept_family(edit), tensors, lora.stem))
    except OSError as error:
        raise EditError(
            f"The edit cannot be written ({error}); give another place, nothing has to be searched again."
        ) from error
    return [f"edit: {out}", *([f"LoRA: {lora}"] if lora else [])]
