"""Checkpoints as ComfyUI and A1111 have them, read and written tensor by tensor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..editing.any_edit import AnyEdit
from ..editing.assumptions.edit import Edit
from ..editing.assumptions.text_inputs import TextInputs
from ..editing.concepts.concept_edit import ConceptEdit
from ..editing.edit_file import FORMAT
from ..editing.errors import EditError, PackedWeightsError
from ..editing.tensor_file import TensorFile, open_tensors
from ..editing.whole_file import whole_file, why

RECIPE = "edit_assumption.recipe"
"""Where the header of what is edited here, and of our LoRA files, has the recipe."""
_TEXT = ("cond_stage_model.", "conditioner.")
_LORA = re.compile(r"\.lora_(up|down|A|B)\.|\.hada_|\.lokr_")
_VAE = ("first_stage_model.", "encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
_MLP = {
    "clip_l": r"(cond_stage_model|conditioner\.embedders\.0)\.transformer\.text_model\.encoder\.layers\.{}\.mlp\.fc2\.weight",
    "clip_h": r"cond_stage_model\.model\.transformer\.resblocks\.{}\.mlp\.c_proj\.weight",
    "clip_g": r"conditioner\.embedders\.1\.model\.transformer\.resblocks\.{}\.mlp\.c_proj\.weight",
}
"""A text encoder's name to the key of a layer's MLP output."""
Change = Callable[[torch.Tensor], torch.Tensor]


class Checkpoint:
    """A checkpoint file with a diffusion model in it.

    Args:
        path: of a .safetensors file.

    Raises:
        EditError: it is something else, which the message names.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        kind, shapes, self.metadata = read_header(path)
        if kind:
            raise EditError(f"“{path}” is {kind}, no checkpoint; give a checkpoint with a diffusion model in it.")
        self.inputs = TextInputs.of_shapes(shapes, self._rows)
        self.names = list(shapes)

    def _rows(self, key: str, every: int) -> torch.Tensor:
        with open_tensors(self.path) as file:
            weight = file.get_tensor(key)
        if not weight.is_floating_point():
            raise PackedWeightsError("This checkpoint's weights are packed; give one in half precision, float32 or fp8.")
        return weight[::every].float()

    def text_weights(self) -> dict[str, torch.Tensor]:
        """The text encoders' tensors in float32, by their keys. Raises :class:`EditError` where there are none."""
        with open_tensors(self.path) as file:
            weights = {name: _plain(file.get_tensor(name)) for name in self.names if name.startswith(_TEXT)}
        if not weights:
            raise EditError(
                f"“{self.path}” has no text encoder; make the edit with a diffusers folder of the same model, and put it on "
                "with: edit-assumption apply"
            )
        return weights

    def changes(self, edit: AnyEdit) -> dict[str, Change]:
        """Key of each weight that an edit changes to what becomes of it.

        Raises:
            EditError: the edit is for another model, or a weight that it changes is not there.
        """
        if isinstance(edit, ConceptEdit):
            return self._concept_changes(edit)
        return {key: context_map.apply_to_weight for key, context_map in self.inputs.for_edit(edit).maps(edit).items()}

    def _concept_changes(self, edit: ConceptEdit) -> dict[str, Change]:
        changes: dict[str, Change] = {}
        for encoder, layers in edit.changes.items():
            for layer, factors in layers.items():
                pattern = re.compile(_MLP[encoder].format(layer))
                keys = [name for name in self.names if pattern.fullmatch(name)]
                if not keys:
                    raise EditError(f"The edit changes layer {layer} of {encoder}, which “{self.path}” does not have.")
                changes[keys[0]] = _added(*factors)
        return changes

    def write_edited(self, edit: AnyEdit, out: Path, advance: Callable[[int], object] = lambda count: None) -> int:
        """Write a copy with an edit in it, tensor by tensor; it appears whole or not at all.

        Args:
            edit: at the strength that is wanted.
            out: where; not the checkpoint itself.
            advance: told how many tensors more are written.

        Returns:
            How many weights were changed.

        Raises:
            EditError: as :meth:`changes`, ``out`` is the checkpoint itself, a result is not finite, or the file is damaged.
            OSError: it cannot be written.
        """
        if out.exists() and out.samefile(self.path):
            raise EditError(f"“{out}” is the checkpoint itself, which is never written to; give another name.")
        changes = self.changes(edit)
        recipes = [self.metadata.get(RECIPE, ""), edit.recipe.to_text()]
        texts = {**self.metadata, RECIPE: "\n".join(filter(None, recipes))}
        try:
            with open_tensors(self.path) as file, whole_file(out) as written:
                written.write(file.header(texts))
                for name in file.shapes():
                    if name in changes:
                        written.write(_changed(name, file.get_tensor(name), changes[name]))
                    else:
                        written.writelines(file.pieces(name))
                    advance(1)
        except ValueError as error:
            if isinstance(error, EditError):
                raise
            raise EditError(f"“{self.path}” is damaged: {error}; download it again.") from error
        return len(changes)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _added(up: torch.Tensor, down: torch.Tensor) -> Change:
    return lambda weight: torch.addmm(weight.float(), up.float(), down.float())


def _changed(name: str, weight: torch.Tensor, change: Change) -> bytes:
    """Computed in float32, and rounded once to the weight's own type."""
    if not weight.is_floating_point():
        raise EditError(f"The weight {name} is packed; give a checkpoint in half precision, float32 or fp8.")
    edited = change(weight.float()).to(weight.dtype)
    if not edited.float().isfinite().all():
        raise EditError(
            f"The weight {name} would not be finite in {str(weight.dtype).removeprefix('torch.')}; lower the strength."
        )
    return edited.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def read_header(path: Path) -> tuple[str, Mapping[str, tuple[int, ...]], Mapping[str, str]]:
    """What a file is where it is no checkpoint ("" for one), its tensors' shapes, and its header's texts.

    Raises:
        EditError: it cannot be read, or is no .safetensors file.
    """
    if path.is_dir():
        raise EditError(f"“{path}” is a folder; give a .safetensors file.")
    try:
        with open_tensors(path) as file:
            return _kind(file), file.shapes(), file.metadata()
    except FileNotFoundError as error:
        raise EditError(f"“{path}” is not there; give another file.") from error
    except OSError as error:
        raise EditError(f"“{path}” cannot be read: {why(error)}; give another file.") from error
    except ValueError as error:
        raise EditError(f"“{path}” is {_other_kind(path)}; give a checkpoint as .safetensors.") from error


def _kind(file: TensorFile) -> str:
    names: Any = file.shapes()
    if file.metadata().get("format") == FORMAT:
        return "an edit file"
    if any(_LORA.search(name) for name in names):
        return "a LoRA"
    if all(name.startswith(_VAE) for name in names):
        return "a VAE"
    if all("text_model." in name or "transformer.resblocks" in name or name == "logit_scale" for name in names):
        return "a text encoder"
    return ""


def _other_kind(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith((b"PK", b"\x80")):
        return "a pickled checkpoint, which may run code when it is loaded"
    try:
        start.decode()
    except UnicodeDecodeError:
        return "no .safetensors file"
    return "a text file" if start.strip() else "an empty file"


def summary(edit: AnyEdit) -> str:
    """An edit in a line: its kind and rank."""
    if isinstance(edit, Edit):
        return f"edit of the text projections, width {edit.context_map.width}, rank {edit.context_map.rank}"
    return f"edit of the text encoder, rank {edit.rank}"
