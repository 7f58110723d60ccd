"""What needs ComfyUI: text encoding, the whole node, sampling. A script for ComfyUI's Python; prints one JSON line.

``python host.py COMFYUI CHECKPOINT [--quick] [--sampling]``; ``benchmarks.run`` starts it, and ``benchmarks.sizes`` for
sampling alone. It is no part of the package: ComfyUI's own ``nodes`` has to be found under that name, and this repository is
loaded the way ComfyUI loads a custom node.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = "edit_assumption_node"
WAYS = {
    "weights": ("sampling with the edit, against without", 1.02),
    "text": ("sampling with the edit on the text, against without", 1.01),
    "hook": ("sampling with the edit in a hook, against without", None),
    "LoRA": ("sampling with the edit as a LoRA, against without", 1.02),
}
"""How an edit is put on, to what the row is called and what it may cost at most; a hook has no such bound."""
_SOURCE, _DESTINATION = "a pack of roses", "a pack of blue roses"


def start_comfyui(folder: str) -> None:
    """Make ComfyUI's modules importable, on the CPU; what the pack keeps for its user goes to a folder that is thrown away."""
    kept = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, kept)
    sys.argv = ["host", "--cpu", "--user-directory", kept]
    sys.path.insert(0, folder)
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.utils

    comfy.utils.set_progress_bar_enabled(False)


def load_pack() -> None:
    """This repository as a package, as ComfyUI loads a folder of ``custom_nodes``."""
    root = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(_PACKAGE, root / "__init__.py", submodule_search_locations=[str(root)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE] = module
    spec.loader.exec_module(module)


def part(name: str) -> ModuleType:
    """A module of this repository."""
    return importlib.import_module(f"{_PACKAGE}.{name}")


class HostTimes:
    """The checkpoint, loaded once, and what is measured on it."""

    def __init__(self, checkpoint: str, quick: bool) -> None:
        import comfy.sd

        self.quick = quick
        self.row = part("benchmarks.rows").Row
        self.timing = part("benchmarks.timing")
        self.recipes = part("editing.assumptions.recipe")
        self.encoder = part("nodes.comfy.clip_encoder")
        self.read_captions = part("editing.assumptions.moments").read_captions
        self.node = part("nodes.edit_assumption").EditAssumption
        self.model, self.clip, *_ = comfy.sd.load_checkpoint_guess_config(checkpoint, output_vae=False)
        self.prompts = self.recipes.recipe_from_lines(_SOURCE, _DESTINATION).prompts()

    def encode_together(self) -> None:
        """What the node does with its prompts when it has seen none of them."""
        self.encoder._caches.clear()
        self.encoder.ComfyEncoder(self.clip)(self.prompts)

    def encode_in_turn(self) -> None:
        """What a row of CLIP Text Encode nodes would do."""
        for prompt in self.prompts:
            self.clip.encode_from_tokens(self.clip.tokenize(prompt))

    def edited(self, **chosen: Any) -> Any:
        """The node with its default settings but what is chosen, none of its prompts seen before: the edited model."""
        return self._model_and_edit(**chosen)[0]

    def _model_and_edit(self, **chosen: Any) -> tuple[Any, Any]:
        self.encoder._caches.clear()
        inputs = self.node.define_schema().inputs
        settings = {entry.id: entry.default for entry in inputs if getattr(entry, "default", None) is not None}
        given = {"model": self.model, "clip": self.clip, "source": _SOURCE, "destination": _DESTINATION}
        return self.node.execute(**{**settings, **given, **chosen}).result

    def encoding(self) -> Any:
        """One batch against one prompt at a time."""
        together, in_turn = self.timing.alternate(3 if self.quick else 9, self.encode_together, self.encode_in_turn)
        show = self.timing.readable
        return self.row(
            "encoding the prompts one by one, against in one batch",
            in_turn / together,
            "×",
            f"{show(together)} in one batch against {show(in_turn)}; {len(self.prompts)} prompts, ComfyUI's CLIP",
        )

    def captions(self) -> Any:
        """What the default's regularizer needs of a text encoder that it has not met."""
        encoder = self.encoder.ComfyEncoder(self.clip)
        alone = min(self.timing.seconds(self.encode_together) for _ in range(3))
        captions = self.timing.seconds(lambda: self.read_captions(encoder.uncached))
        show = self.timing.readable
        return self.row(
            "the captions' second moment, once for each text encoder, against encoding the edit's prompts",
            captions / alone,
            "×",
            f"{show(captions)} against {show(alone)}; kept on disk",
        )

    def whole_node(self) -> Any:
        """The node against the encoding that it cannot do without."""
        alone, node = self.timing.alternate(5 if self.quick else 15, self.encode_together, self.edited)
        show, ratio = self.timing.readable, node / alone
        return self.row(
            "the whole node, against its text encoding alone",
            ratio,
            "×",
            f"{show(node)} against {show(alone)}, {show(node - alone)} beside encoding; ComfyUI, nothing cached",
            "≤ 1.15×",
            ratio <= 1.15,
        )

    def _put_on(self, way: str) -> tuple[Any, Any]:
        """The model with the edit on it, and the hooks that the prompts have; None where the edit is in no hook.

        Args:
            way: of :data:`WAYS`.
        """
        import comfy.sd

        if way in ("weights", "text"):
            return self.edited(applied_to=way), None
        edit = self._model_and_edit()[1]
        if way == "hook":
            return self.model, part("nodes.edit_hook").EditHook.execute(self.model, 1.0, edit).result[0]
        inputs = part("nodes.comfy.model_edits").text_inputs
        _, tensors = part("editing.any_lora").any_lora(edit, lambda: inputs(self.model))
        return comfy.sd.load_lora_for_models(self.model, None, tensors, 1.0, 0.0)[0], None

    def sampling(self, way: str = "weights") -> Any:
        """KSampler with the edit on against the plain model, the weights of each loaded before the clock starts.

        Args:
            way: of :data:`WAYS`.
        """
        import comfy.hooks
        import comfy.model_management
        import torch

        import nodes

        side, steps, rounds = 16, 2, 1 if self.quick else 12
        latent = {"samples": torch.zeros(1, 4, side, side)}
        prompts = [
            [[cond, {"pooled_output": pooled}]]
            for cond, pooled in (
                self.clip.encode_from_tokens(self.clip.tokenize(text), return_pooled=True) for text in (_SOURCE, "")
            )
        ]

        def sample(model: Any, hooks: Any, count: int = steps) -> torch.Tensor:
            both = [comfy.hooks.set_hooks_for_conditioning(prompt, hooks) for prompt in prompts]
            return nodes.common_ksampler(model, 0, count, 7.0, "euler", "normal", *both, latent)[0]["samples"]

        ways = ((self.model, None), self._put_on(way))
        if torch.equal(*(sample(*one, 1) for one in ways)):
            raise RuntimeError("the edit does not change what is sampled, so there is nothing to compare")
        times: tuple[list[float], ...] = ([], [])
        loads: tuple[list[float], ...] = ([], [])
        for _ in range(rounds):
            for which, one in enumerate(ways):
                load = lambda model=one[0]: comfy.model_management.load_models_gpu([model])  # noqa: E731
                loads[which].append(self.timing.seconds(load))
                sample(*one, 1)
                times[which].append(self.timing.seconds(lambda one=one: sample(*one)))
        plain, edited = (min(measured) for measured in times)
        there, back = min(loads[1]), min(loads[0])
        show, ratio, (name, most) = self.timing.readable, edited / plain, WAYS[way]
        remark = f"putting the edit on the weights takes {show(there)} once, taking it off {show(back)}"
        remark = {"text": "", "hook": "; the weights are patched anew by every sampling"}.get(way, f"; {remark}")
        return self.row(
            name, ratio, "×",
            f"{show(edited)} against {show(plain)}; {steps} steps of Euler at {side * 8} × {side * 8}, weights loaded before"
            + remark,
            f"1.00× (≤ {most}×)" if most else "",
            ratio <= most if most else None,
        )  # fmt: skip


def main() -> None:
    """Measure and print."""
    comfyui, checkpoint, *options = sys.argv[1:]
    start_comfyui(comfyui)
    import torch

    load_pack()
    with torch.inference_mode():  # as ComfyUI runs every node
        times = HostTimes(checkpoint, "--quick" in options)
        if "--sampling" in options:
            rows = [times.sampling(way) for way in WAYS]
        else:
            rows = [times.encoding(), times.captions(), times.whole_node(), times.sampling(), times.sampling("text")]
    print(json.dumps({"rows": [asdict(row) for row in rows], "torch": torch.__version__, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
