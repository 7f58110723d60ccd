"""What the pack's noise teacher asks a diffusion model, and what it makes of the answers."""

import os
import sys
from importlib import import_module

import folder_paths
import torch
from comfy_api.latest import io
from safetensors.torch import save_file


def pack(name):
    """A module of the pack, under whatever name the host loaded it."""
    end = ".nodes.comfy.picture_teacher"
    root = next(key.removesuffix(end) for key in sys.modules if key.endswith(end))
    return import_module(f"{root}.{name}")


class TestNoiseTeacher(io.ComfyNode):
    """A line with [pictures], of one picture, in random contexts: losses, and all that the diffusion model was asked."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestNoiseTeacher",
            category="tests",
            is_output_node=True,
            not_idempotent=True,
            inputs=[io.Model.Input("model"), io.Clip.Input("clip"), io.String.Input("name")],
        )

    @classmethod
    def execute(cls, model, clip, name):
        concept = pack("editing.concepts.concept_lines").Concept("rose", "", pictures=True)
        recipe = pack("editing.concepts.concept_recipe").ConceptRecipe((concept,), templates=("a {}", "{}"), mode="full")
        (encoder,) = pack("nodes.comfy.text_encoders").text_encoders(clip)
        part = pack("editing.concepts.sentences").sentences_of(recipe.searched, encoder.tokenize, recipe.templates)
        generator = torch.Generator().manual_seed(0)
        latents = torch.randn(1, 4, 8, 8, generator=generator)
        source, meant, edited = torch.randn(3, len(part.ids), 77, encoder.tower.width, generator=generator)
        make, _ = pack("nodes.comfy.picture_teacher").noise_teacher(model, clip, recipe, latents, 0)
        teacher, asked, answers = make(), [], []
        unet = model.model.diffusion_model
        hooks = [
            unet.register_forward_pre_hook(lambda module, given: asked.append([entry.clone() for entry in given[:2]])),
            unet.register_forward_hook(lambda module, given, answer: answers.append(answer.clone())),
        ]
        try:
            begun = torch.stack([teacher(part, source, meant, turn) for turn in range(teacher.turns)])
            found = teacher(part, edited, meant, 3)
        finally:
            for hook in hooks:
                hook.remove()
        sampling = model.get_model_object("model_sampling")
        tensors = {
            "begun": begun, "found": found, "answers": torch.stack(answers), "clean": model.model.process_latent_in(latents),
            "asked": torch.stack([noisy for noisy, _ in asked]),
            "times": torch.stack([times for _, times in asked]),
            "sigmas": torch.stack([sampling.sigma(times) for _, times in asked]),
        }  # fmt: skip
        path = os.path.join(folder_paths.get_output_directory(), name)
        save_file({key: tensor.detach().float().clone() for key, tensor in tensors.items()}, path)
        return io.NodeOutput()
