"""Loads a file of every kind, changes it on disk, and looks whether what was loaded stays. Its argument is a folder."""

import sys
import threading
from pathlib import Path

import torch
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import Edit
from edit_assumption.editing.assumptions.moment_file import keep_sums, load_sums
from edit_assumption.editing.assumptions.moments import MomentSums, Total
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.editing.concepts.concept_edit import ConceptEdit
from edit_assumption.editing.concepts.concept_lines import Concept
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe
from edit_assumption.editing.concepts.statistics import Statistics, _load, _save
from edit_assumption.editing.concepts.value_file import Value, ValueStore
from edit_assumption.editing.edit_file import load_edit, save_edit
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.known_texts import KnownTexts
from edit_assumption.editing.tensor_file import load_tensors
from edit_assumption.pocket.basis import Basis

WIDTH = 768
TEXTS = KnownTexts(["a rose"])
IDENTITY = EncoderIdentity(TEXTS.captions[0], torch.ones(16, WIDTH))


def read():
    return MomentSums(Total(torch.eye(WIDTH, dtype=torch.float64), 1.0), read=len(TEXTS))


def edit(seed=0):
    left, right = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for shape in ((WIDTH, 99), (99, WIDTH)))
    return Edit(Recipe((PromptPair("a rose", "a blue rose"),)), ContextMap(left, right), IDENTITY, 4, 2, 0.1)


def concept_edit():
    factors = {8: (torch.randn(WIDTH, 20), torch.randn(20, 4 * WIDTH))}
    return ConceptEdit(ConceptRecipe((Concept("cat", "dog"),)), {"clip_l": factors}, {"clip_l": IDENTITY}, 0.1)


def kinds(folder):
    """Name to a way to write the file, its path, and a way to load its tensors."""
    value, moments = folder / "value.safetensors", folder / "moments"
    sums = {8: torch.randn(WIDTH, WIDTH, dtype=torch.float64)}
    edit_path, concept_path = folder / "edit.safetensors", folder / "concepts.safetensors"
    statistics, basis = folder / "statistics.safetensors", folder / "basis.safetensors"
    keep_sums(moments, TEXTS, IDENTITY, read())
    (moment,) = moments.iterdir()

    def save_value():
        ValueStore(folder, ["value"]).put(0, Value(torch.randn(50 * WIDTH).double(), 1.0, 0.5, 3))

    def factors():
        return [factor for layers in load_edit(concept_path).changes.values() for pair in layers.values() for factor in pair]

    def load_map():
        loaded = load_edit(edit_path)
        return [loaded.context_map.left, loaded.context_map.right, loaded.encoder.embeddings]

    return {
        edit_path: (lambda: save_edit(edit(), edit_path), load_map),
        concept_path: (lambda: save_edit(concept_edit(), concept_path), factors),
        value: (save_value, lambda: [ValueStore(folder, ["value"]).known[0].shift]),
        statistics: (lambda: _save(Statistics(sums, 3, 9.0), statistics), lambda: [_load(statistics, [8], WIDTH).sums[8]]),
        moment: (
            lambda: keep_sums(moments, TEXTS, IDENTITY, read()),
            lambda: [load_sums(moments, TEXTS, IDENTITY).moment()],
        ),
        basis: (
            lambda: Basis(torch.ones(192), torch.randn(192, 32), 1.0).save(basis),
            lambda: [Basis.load(basis).components],
        ),
    }


def overwrite(path):
    with path.open("r+b") as file:
        file.write(b"\x01" * path.stat().st_size)


def main(folder):
    for path, (save, load) in kinds(folder).items():
        for change in (overwrite, lambda path: path.write_bytes(b""), Path.unlink):
            save()
            tensors = load()
            before = [tensor.clone() for tensor in tensors]
            change(path)
            assert all(map(torch.equal, tensors, before)), path
    path, stop = folder / "edit.safetensors", threading.Event()
    whole = folder / "whole.safetensors"
    save_edit(edit(), whole)
    content = whole.read_bytes()

    def shorten():
        while not stop.is_set():
            path.write_bytes(content)
            path.write_bytes(content[: len(content) // 3])

    path.write_bytes(content)
    thread = threading.Thread(target=shorten)
    thread.start()
    try:
        for _ in range(50):
            try:
                load_edit(path)
                load_tensors(path)
            except (EditError, ValueError):
                pass
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
