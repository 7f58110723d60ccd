"""What newer hosts do with patches: stage them anew, cast them in place, load a model a second time."""

import inspect

import comfy.lora
import comfy.model_patcher
import torch
from comfy_api.latest import io, ui

LOADS_ANEW = "force_deepcopy" in inspect.signature(comfy.model_patcher.ModelPatcher.clone).parameters


class TestAdapters(io.ComfyNode):
    """How far a model's patches are from themselves when they are built anew from the two things that hosts hand on, and when
    one of them, shared by many weights, has been cast to half precision."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestAdapters", category="tests", is_output_node=True, not_idempotent=True, inputs=[io.Model.Input("model")]
        )

    @classmethod
    def execute(cls, model):
        staged, cast = 0.0, 0.0
        for key, patches in model.patches.items():
            weight = comfy.model_patcher.get_key_weight(model.model, key)[0].detach().float()

            def patched(adapter, key=key, weight=weight):
                return comfy.lora.calculate_weight([(1.0, adapter, 1.0, None, None)], weight.clone(), key) - weight

            for _, adapter, *_ in patches:
                copies = tuple(tensor.clone() for tensor in adapter.weights)
                wanted = patched(adapter)
                anew = type(adapter)(adapter.loaded_keys, copies)
                assert vars(anew).keys() == vars(adapter).keys()
                staged = max(staged, float((patched(anew) - wanted).norm() / wanted.norm()))
                anew.weights = tuple(tensor.to(torch.float16) for tensor in copies)
                cast = max(cast, float((patched(anew) - wanted).norm() / wanted.norm()))
        return io.NodeOutput(ui=ui.PreviewText(f"{staged} {cast}"))


class TestLoadedAnew(io.ComfyNode):
    """MODEL and CLIP with their patches on freshly loaded weights, by the way that their loader left for that."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestLoadedAnew",
            category="tests",
            inputs=[io.Model.Input("model"), io.Clip.Input("clip")],
            outputs=[io.Model.Output(), io.Clip.Output()],
        )

    @classmethod
    def execute(cls, model, clip):
        anew = clip.clone()
        anew.patcher = clip.patcher.clone(force_deepcopy=True)
        anew.cond_stage_model = anew.patcher.model
        other = model.clone(force_deepcopy=True)
        assert other.model is not model.model and anew.cond_stage_model is not clip.cond_stage_model
        return io.NodeOutput(other, anew)
