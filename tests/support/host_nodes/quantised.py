"""Quantised weights as ComfyUI's own loaders read them (``comfy_quant``), and a CLIP whose matrices are."""

import json

import comfy.model_management
import comfy.ops
import comfy.sd
import comfy.supported_models_base
import torch
from comfy_api.latest import io

try:
    from comfy.quant_ops import QUANT_ALGOS, QuantizedTensor
except ImportError:  # before 0.3.69
    QUANT_ALGOS = {}

OWN_SCALE = ("int8_tensorwise",)
SMOOTHED = "_smoothed"
"""Behind a format: what text layers read is scaled first, number by number, and their weights are divided by it."""


def formats():
    """Those that this host can write and read."""
    known = list(QUANT_ALGOS) if hasattr(comfy.ops, "mixed_precision_ops") else []
    return ["none", *known, *[f"{name}{SMOOTHED}" for name in known if "pre_quant_scale" in QUANT_ALGOS[name]["parameters"]]]


def quantised(module, format_name):
    """A module's weights as checkpoints hold them: its linear layers quantised where the format takes their shape."""
    state = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    if format_name == "none":
        return state
    smoothed, format_name = format_name.endswith(SMOOTHED), format_name.removesuffix(SMOOTHED)
    layout = QUANT_ALGOS[format_name]["comfy_tensor_layout"]
    options = {} if format_name in OWN_SCALE else {"scale": "recalculate"}
    comfy_quant = torch.tensor(list(json.dumps({"format": format_name}).encode()), dtype=torch.uint8)
    for name in [name for name, part in module.named_modules() if "Linear" in type(part).__name__]:
        key = f"{name}.weight"
        if smoothed and "attn2.to_" in name:
            scale = torch.linspace(0.5, 2, state[key].shape[1])
            state[key] = state[key] / scale
            state[f"{name}.pre_quant_scale"] = scale
        try:
            tensors = QuantizedTensor.from_float(state[key].float(), layout, **options).state_dict(key)
        except (ValueError, AssertionError, RuntimeError):
            continue
        del state[key]
        state |= {**tensors, f"{name}.comfy_quant": comfy_quant}
    return state


class TestQuantisedClip(io.ComfyNode):
    """The CLIP, its linear layers quantised."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestQuantisedClip",
            category="tests",
            inputs=[io.Clip.Input("clip"), io.Combo.Input("format", options=formats())],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def execute(cls, clip, format):
        model = clip.cond_stage_model
        comfy.model_management.unload_all_models()  # so that no patch is in the weights
        target = comfy.supported_models_base.ClipTarget(type(clip.tokenizer), type(model))
        if format == "none":
            new = comfy.sd.CLIP(target, model_options={"dtype": torch.float32})
            new.cond_stage_model.load_state_dict(quantised(model, format), strict=False)
        else:
            options = {"dtype": torch.float32, "quantization_metadata": {"mixed_ops": True}}
            new = comfy.sd.CLIP(target, state_dict=quantised(model, format), model_options=options)
        return io.NodeOutput(new)
