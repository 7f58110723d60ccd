"""Edits on pipelines whose UNet is stored quantised, by whichever of the libraries for it are installed."""

import pytest
import torch

pytest.importorskip("diffusers")

import edit_assumption as ea
import tiny_families
from edit_assumption.pipelines.cache_folder import VARIABLE
from edit_assumption.pipelines.text_models import text_inputs

LINE = "a pack of roses -> a pack of blue roses\n! regularizer: identity"
INSTALL = "pip install -e .[quantised]"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """No test reads or leaves files in the user's own cache."""
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "cache"))


def library(name):
    return pytest.importorskip(name, reason=f"{name} is not installed: {INSTALL}", exc_type=ImportError)


def text_layers(unet):
    """Those that read text, each with what holds it and its name there."""
    for name, module in list(unet.named_modules()):
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            parent, _, own = name.rpartition(".")
            yield unet.get_submodule(parent), own, module


def with_torchao(unet):
    library("torchao")
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    def reads_text(module, name):
        return ".attn2.to_" in name and isinstance(module, torch.nn.Linear)

    quantize_(unet, Int8WeightOnlyConfig(), filter_fn=reads_text)


def with_quanto(unet):
    quanto = library("optimum.quanto")
    quanto.quantize(unet, weights=quanto.qint8, include="*attn2.to_*")
    quanto.freeze(unet)


def with_bitsandbytes(unet):
    bnb = library("bitsandbytes")
    for parent, name, layer in text_layers(unet):
        packed = bnb.nn.Linear4bit(layer.in_features, layer.out_features, bias=False, compute_dtype=torch.float32)
        packed.load_state_dict({"weight": layer.weight.detach()})
        setattr(parent, name, packed.to("cpu"))


def with_gguf(unet):
    gguf = library("gguf")
    from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter

    kind = gguf.GGMLQuantizationType.Q8_0
    for parent, name, layer in text_layers(unet):
        packed = GGUFLinear(layer.in_features, layer.out_features, bias=False, compute_dtype=torch.float32)
        data = gguf.quants.quantize(layer.weight.detach().numpy(), kind)
        packed.weight = GGUFParameter(torch.from_numpy(data), quant_type=kind)
        setattr(parent, name, packed)


def draw(pipe, **more):
    told = dict(num_inference_steps=2, height=16, width=16, output_type="latent")
    return pipe(generator=torch.Generator().manual_seed(1), **told, **more).images


@pytest.mark.parametrize("setting", ["", "\n! projections: values"])
@pytest.mark.parametrize("quantise", [with_torchao, with_quanto, with_bitsandbytes, with_gguf])
def test_a_quantised_unet_is_edited(quantise, setting):
    pipe = tiny_families.sd1()
    pipe.set_progress_bar_config(disable=True)
    unquantised = draw(pipe, prompt="a pack of roses")
    quantise(pipe.unet)
    plain = draw(pipe, prompt="a pack of roses")
    assert float((plain - unquantised).abs().max()) > 0
    edit = ea.edit_pipeline(pipe, LINE + setting)
    edited = draw(pipe, prompt="a pack of roses")
    assert float((edited - plain).abs().max()) > 0.1 and "projections patched" in edit.report
    assert len(text_inputs(pipe).projections) == 8
    edit.off()
    assert torch.equal(draw(pipe, prompt="a pack of roses"), plain)
    if not setting:
        rows, negative = pipe.encode_prompt("a pack of roses", "cpu", 1, True)
        both = (edit.edit.context_map.apply(text) for text in (rows, negative))
        conditioned = draw(pipe, **dict(zip(("prompt_embeds", "negative_prompt_embeds"), both, strict=True)))
        assert torch.allclose(conditioned, edited, atol=1e-4)
