"""Nodes that only the tests load: models of random weights from ComfyUI's own classes, and looks at what others did."""

import hashlib
import os
from pathlib import Path

import comfy.model_base
import comfy.model_patcher
import comfy.sd
import comfy.sdxl_clip
import comfy.supported_models as families
import comfy.supported_models_base
import comfy.text_encoders.sd2_clip
import folder_paths
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy_api.latest import ComfyExtension, io, ui
from safetensors.torch import load_file, save_file

from .adapters import LOADS_ANEW, TestAdapters, TestLoadedAnew
from .clips import TestAnimaClip, TestFlags, TestTextBeside, anima
from .newer_families import TestFamily
from .quantised import TestQuantisedClip, formats, quantised
from .teachers import TestNoiseTeacher
from .transformers import TestTransformer
from .weights import randomise

FULL_SD1 = dict(
    model_channels=320, channel_mult=[1, 2, 4, 4], num_res_blocks=[2, 2, 2, 2], transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
    transformer_depth_output=[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], transformer_depth_middle=1,
)  # fmt: skip
SMALL = dict(
    model_channels=64, channel_mult=[1, 2], num_res_blocks=[1, 1], transformer_depth=[1, 1],
    transformer_depth_output=[1, 1, 1, 1], transformer_depth_middle=1,
)  # fmt: skip
UNETS = {
    "sd1": dict(context_dim=768, use_linear_in_transformer=False, adm_in_channels=None),
    "sd2": dict(context_dim=1024, use_linear_in_transformer=True, adm_in_channels=None),
    "sdxl": dict(context_dim=2048, use_linear_in_transformer=True, adm_in_channels=2816, num_classes="sequential"),
}
TEXT_INPUTS = (".attn2.to_k.", ".attn2.to_v.", ".txt_in.weight", ".context_embedder.weight", ".y_proj.fc1.weight")
DTYPES = {"full": torch.float16, "fp8": torch.float8_e4m3fn}
CLASSES = {
    "sd1": (families.SD15, comfy.model_base.BaseModel),
    "sd2": (families.SD20, comfy.model_base.BaseModel),
    "sdxl": (families.SDXL, comfy.model_base.SDXL),
}


def build_unet(family, size, quantised_as="none"):
    config_class, model_class = CLASSES[family]
    sizes = {"full": FULL_SD1, "wide": {**SMALL, "model_channels": 320}}
    config = config_class({
        "image_size": 32, "in_channels": 4, "out_channels": 4, "use_spatial_transformer": True, "legacy": False,
        "use_temporal_attention": False, **UNETS[family], **sizes.get(size, SMALL),
    })  # fmt: skip
    config.set_inference_dtype(DTYPES.get(size, torch.float32), torch.float32)
    model = model_class(config, device="cpu")
    randomise(model.diffusion_model, seed=1)  # the schedule stays
    if quantised_as == "none":
        return model
    config.quant_config = {"mixed_ops": True}  # as the host finds it in a checkpoint's keys
    return model_class(config, device="cpu").load_model_weights(quantised(model.diffusion_model, quantised_as))


def build_clip(family, size):
    target = CLASSES[family][0].clip_target(CLASSES[family][0]({"in_channels": 4}), state_dict={})
    layers = {} if size == "full" else {"num_hidden_layers": 4}
    options = {f"clip_{name}_model_config": layers for name in "lgh"}
    clip = comfy.sd.CLIP(target, embedding_directory=folder_paths.get_folder_paths("embeddings"), model_options=options)
    randomise(clip.cond_stage_model, seed=2)
    return clip


def build_vae():
    config = dict(
        double_z=True, z_channels=4, resolution=256, in_channels=3, out_ch=3, ch=128, ch_mult=[1, 2, 4, 4],
        num_res_blocks=2, attn_resolutions=[], dropout=0.0,
    )  # fmt: skip
    return comfy.sd.VAE(sd=randomise(AutoencoderKL(embed_dim=4, ddconfig=config), seed=3).state_dict())


def output_path(name):
    return os.path.join(folder_paths.get_output_directory(), name)


class TestModel(io.ComfyNode):
    """A model of random weights; projections found in the file ``weights`` replace its own."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestModel",
            category="tests",
            inputs=[
                io.Combo.Input("family", options=list(UNETS)),
                io.Combo.Input("size", options=["full", "small", "fp8"]),
                io.String.Input("weights", default=""),
            ],
            outputs=[io.Model.Output(), io.Clip.Output(), io.Vae.Output()],
        )

    @classmethod
    def execute(cls, family, size, weights):
        unet = build_unet(family, size)
        if weights:
            found = unet.state_dict()
            for key, tensor in load_file(output_path(weights)).items():
                found[key].copy_(tensor)
        device = torch.device("cpu")
        model = comfy.model_patcher.ModelPatcher(unet, device, device)
        return io.NodeOutput(model, build_clip(family, size), build_vae() if size == "full" else None)


class TestGGUF(io.ComfyNode):
    """A UNet of random weights as a GGUF file, its matrices in Q8_0, where ComfyUI-GGUF looks for it."""

    @classmethod
    def define_schema(cls):
        inputs = [io.String.Input("name")]
        return io.Schema(node_id="TestGGUF", category="tests", is_output_node=True, inputs=inputs, outputs=[])

    @classmethod
    def execute(cls, name):
        import gguf

        folder = Path(folder_paths.get_folder_paths("unet_gguf")[0])
        folder.mkdir(parents=True, exist_ok=True)
        writer = gguf.GGUFWriter(folder / name, "sd1")
        packed = gguf.GGMLQuantizationType.Q8_0
        for key, tensor in build_unet("sd1", "wide").diffusion_model.state_dict().items():
            if tensor.ndim == 2:
                writer.add_tensor(key, gguf.quants.quantize(tensor.numpy(), packed), raw_dtype=packed)
            else:
                writer.add_tensor(key, tensor.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return io.NodeOutput()


class TestQuantisedModel(io.ComfyNode):
    """The small SD 1.x model, its linear layers quantised; "none" leaves them as they are."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestQuantisedModel",
            category="tests",
            inputs=[io.Combo.Input("format", options=formats())],
            outputs=[io.Model.Output(), io.Clip.Output()],
        )

    @classmethod
    def execute(cls, format):
        unet, device = build_unet("sd1", "small", format), torch.device("cpu")
        return io.NodeOutput(comfy.model_patcher.ModelPatcher(unet, device, device), build_clip("sd1", "small"))


class TestModelWithoutText(io.ComfyNode):
    """A model whose attention reads no text."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="TestModelWithoutText", category="tests", inputs=[], outputs=[io.Model.Output()])

    @classmethod
    def execute(cls):
        module = torch.nn.Module()
        module.diffusion_model = torch.nn.Sequential(torch.nn.Linear(4, 4))
        return io.NodeOutput(comfy.model_patcher.ModelPatcher(module, torch.device("cpu"), torch.device("cpu")))


class TestEncode(io.ComfyNode):
    """The host's own embeddings of prompts, one line and one call each, into a file."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestEncode",
            category="tests",
            is_output_node=True,
            inputs=[io.Clip.Input("clip"), io.String.Input("text", multiline=True), io.String.Input("name")],
        )

    @classmethod
    def execute(cls, clip, text, name):
        encoded = {line: clip.encode_from_tokens(clip.tokenize(line))[0].contiguous() for line in text.splitlines()}
        save_file(encoded, output_path(name))
        return io.NodeOutput()


class TestWeights(io.ComfyNode):
    """The text projections as they are in memory, into a file, and a hash of all weights."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestWeights",
            category="tests",
            is_output_node=True,
            not_idempotent=True,
            inputs=[io.Model.Input("model"), io.String.Input("name"), io.Latent.Input("after", optional=True)],
        )

    @classmethod
    def execute(cls, model, name, after=None):
        weights = model.model_state_dict()
        text = {k: v.float().contiguous() for k, v in weights.items() if any(mark in k for mark in TEXT_INPUTS)}
        save_file(text, output_path(name))
        digest = hashlib.sha256()
        for key in sorted(weights):
            digest.update(weights[key].contiguous().view(torch.uint8).numpy())
        return io.NodeOutput(ui=ui.PreviewText(digest.hexdigest()))


class TestExtension(ComfyExtension):
    async def get_node_list(self):
        return [
            TestModel,
            TestGGUF,
            TestQuantisedModel,
            TestQuantisedClip,
            TestModelWithoutText,
            TestEncode,
            TestWeights,
            TestTransformer,
            TestFamily,
            TestAdapters,
            *([TestLoadedAnew] if LOADS_ANEW else []),
            *([TestAnimaClip] if anima else []),
            TestFlags,
            TestTextBeside,
            TestNoiseTeacher,
        ]


async def comfy_entrypoint():
    return TestExtension()
