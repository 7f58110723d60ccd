"""What needs ComfyUI: text encoding, the whole node, sampling. A script for ComfyUI's Python; prints one JSON line.

``python host.py COMFYUI CHECKPOINT [--quick]``; ``benchmarks.run`` starts it. It is no part of the package: ComfyUI's own
``nodes`` has to be found under that name, and this repository is loaded the way ComfyUI loads a custom node.
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
        self.encoder._caches.clear()
        inputs = self.node.define_schema().inputs
        settings = {entry.id: entry.default for entry in inputs if getattr(entry, "default", None) is not None}
        given = {"model": self.model, "clip": self.clip, "source": _SOURCE, "destination": _DESTINATION}
        return self.node.execute(**{**settings, **given, **chosen}).result[0]

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

    def sampling(self, by_text: bool = False) -> Any:
        """KSampler on the edited model against the plain one, the weights of each loaded before the clock starts."""
        import comfy.model_management
        import torch

        import nodes

        side, steps, rounds = 16, 2, 4 if self.quick else 12
        latent = {"samples": torch.zeros(1, 4, side, side)}
        positive, negative = (
            [[cond, {"pooled_output": pooled}]]
            for cond, pooled in (
                self.clip.encode_from_tokens(self.clip.tokenize(text), return_pooled=True) for text in (_SOURCE, "")
            )
        )

        def sample(model: Any, count: int = steps) -> torch.Tensor:
            return nodes.common_ksampler(model, 0, count, 7.0, "euler", "normal", positive, negative, latent)[0]["samples"]

        models = (self.model, self.edited(applied_to="text" if by_text else "weights"))
        if torch.equal(*(sample(model, 1) for model in models)):
            raise RuntimeError("the edit does not change what is sampled, so there is nothing to compare")
        times: tuple[list[float], ...] = ([], [])
        loads: tuple[list[float], ...] = ([], [])
        for _ in range(rounds):
            for which, model in enumerate(models):
                loads[which].append(self.timing.seconds(lambda model=model: comfy.model_management.load_models_gpu([model])))
                sample(model, 1)
                times[which].append(self.timing.seconds(lambda model=model: sample(model)))
        plain, edited = (min(measured) for measured in times)
        there, back = min(loads[1]), min(loads[0])
        show, ratio, most = self.timing.readable, edited / plain, 1.01 if by_text else 1.02
        placed = f"; putting the edit on the weights takes {show(there)} once, taking it off {show(back)}"
        return self.row(
            f"sampling with the edit{' on the text' * by_text}, against without",
            ratio,
            "×",
            f"{show(edited)} against {show(plain)}; {steps} steps of Euler at {side * 8} × {side * 8}, weights loaded before"
            + placed * (not by_text),
            f"1.00× (≤ {most}×)",
            ratio <= most,
        )


def main() -> None:
    """Measure and print."""
    comfyui, checkpoint, *options = sys.argv[1:]
    start_comfyui(comfyui)
    import torch

    load_pack()
    with torch.inference_mode():  # as ComfyUI runs every node
        times = HostTimes(checkpoint, "--quick" in options)
        rows = [times.encoding(), times.captions(), times.whole_node(), times.sampling(), times.sampling(by_text=True)]
    print(json.dumps({"rows": [asdict(row) for row in rows], "torch": torch.__version__, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
