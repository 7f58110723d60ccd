"""Where text enters a model: module lists of real architectures, in both naming schemes."""

import functools

import pytest
import torch
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.projections import POOLED, cross_attention, families_of, find, lora_name, norms_of, select

diffusers = pytest.importorskip("diffusers")

DOWN, UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
SDXL = {
    "cross_attention_dim": 2048,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", DOWN, DOWN),
    "up_block_types": (UP, UP, "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SSD_1B = {
    **SDXL,
    "transformer_layers_per_block": (1, 2, 4),
    "reverse_transformer_layers_per_block": ((4, 4, 10), (2, 1, 1), 1),
    "mid_block_type": None,
}
KOALA = {**SDXL, "layers_per_block": 1, "transformer_layers_per_block": (1, 2, 5), "mid_block_type": None}
MODELS = {
    "SD 1.5": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "SD 2.1": {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
    "SDXL": SDXL,
    "SSD-1B": SSD_1B,
    "KOALA": KOALA,
    "small SD": {"cross_attention_dim": 768, "attention_head_dim": 8, "layers_per_block": 1},
}


def shapes_of(build, **config):
    """Name and shape of every weight; the model takes no memory."""
    with torch.device("meta"):
        return {name: tuple(weight.shape) for name, weight in build(**config).state_dict().items()}


@functools.cache
def unet(name):
    return shapes_of(diffusers.UNet2DConditionModel, **MODELS[name])


def ldm_modules(inputs, outputs, middle):
    """LDM's names from the numbers of the blocks with attention and how many transformer blocks each has."""
    layers = [(f"input_blocks.{number}.1", depth) for number, depth in inputs]
    layers += [("middle_block.1", middle)]
    layers += [(f"output_blocks.{number}.1", depth) for number, depth in outputs]
    return [
        f"{layer}.transformer_blocks.{number}.attn2.to_{kind}"
        for layer, depth in layers
        for number in range(depth)
        for kind in "kv"
    ]


SD_LDM = ldm_modules([(n, 1) for n in (1, 2, 4, 5, 7, 8)], [(n, 1) for n in range(3, 12)], 1)
SMALL_SD_LDM = ldm_modules([(n, 1) for n in (1, 3, 5)], [(n, 1) for n in range(2, 8)], 1)
SDXL_LDM = ldm_modules([(4, 2), (5, 2), (7, 10), (8, 10)], [(0, 10), (1, 10), (2, 10), (3, 2), (4, 2), (5, 2)], 10)
SSD_1B_LDM = ldm_modules([(4, 2), (5, 2), (7, 4), (8, 4)], [(0, 4), (1, 4), (2, 10), (3, 2), (4, 1), (5, 1)], 0)
KOALA_LDM = ldm_modules([(3, 2), (5, 5)], [(0, 5), (1, 5), (2, 2), (3, 2)], 0)


def ldm(modules, width, prefix="diffusion_model.", level=3):
    """Weights under LDM's names, with layers that an edit must leave alone; a new level every ``level`` input blocks."""
    shapes = {f"{prefix}{module}.weight": (320, width) for module in modules}
    shapes.update({f"{prefix}{module.replace('attn2', 'attn1')}.weight": (320, 320) for module in modules})
    shapes.update({f"{prefix}{module[:-4]}to_out.0.weight": (320, 320) for module in modules})
    shapes.update({f"{prefix}input_blocks.{number * level}.0.op.weight": (320, 320, 3, 3) for number in (2, 1)})
    return shapes | {f"{prefix}time_embed.0.weight": (1280, 320), f"{prefix}input_blocks.0.0.weight": (320, 4, 3, 3)}


@pytest.mark.parametrize(
    ("name", "family", "down", "mid", "up"),
    [
        ("SD 1.5", "SD 1.x", 12, 2, 18),
        ("SD 2.1", "SD 2.x", 12, 2, 18),
        ("SDXL", "SDXL", 48, 20, 72),
        ("SSD-1B", "SDXL", 24, 0, 44),
        ("KOALA", "SDXL", 14, 0, 28),
    ],
)
def test_diffusers_models(name, family, down, mid, up):
    shapes = unet(name)
    found_family, found = find(shapes)
    assert found_family.name == family
    pooled = [projection.key for projection in found if projection.kind == POOLED]
    assert pooled == ["add_embedding.linear_1.weight"] * (family == "SDXL")
    found = [projection for projection in found if projection.kind != POOLED]
    assert [sum(projection.part == part for projection in found) for part in ("down", "mid", "up")] == [down, mid, up]
    assert {projection.key for projection in found} == {
        key for key in shapes if key.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))
    }
    assert sum(projection.kind == "keys" for projection in found) == len(found) / 2
    assert all((projection.kind == "keys") == projection.module.endswith("to_k") for projection in found)


@pytest.mark.parametrize(
    ("modules", "width", "family", "count"),
    [(SD_LDM, 768, "SD 1.x", 32), (SD_LDM, 1024, "SD 2.x", 32), (SDXL_LDM, 2048, "SDXL", 140)],
)
@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "model.diffusion_model."])
def test_ldm_models(modules, width, family, count, prefix):
    found_family, found = find(ldm(modules, width, prefix))
    assert found_family.name == family
    assert [projection.module for projection in found] == modules
    assert [projection.key for projection in found] == [f"{prefix}{module}.weight" for module in modules]
    assert len(found) == count
    for projection in found:
        part = {"input_blocks": "down", "middle_block": "mid", "output_blocks": "up"}[projection.module.split(".")[0]]
        assert projection.part == part


def test_names_may_lack_weight_and_have_any_prefix():
    _, found = find({f"pipe.unet.{name.removesuffix('.weight')}": shape for name, shape in unet("SD 1.5").items()})
    assert len(found) == 32
    assert found[0].module == "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"


def test_names_that_only_look_like_projections_are_left_alone():
    shapes = unet("SD 1.5")
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
    extra = [f"{layer}.to_k.bias", f"{layer}.to_k.lora_A.weight", f"{layer}.to_k_ip.weight", f"{layer}.to_q.weight"]
    extra += ["text_model.encoder.layers.0.self_attn.k_proj.weight", "transformer_blocks.0.attn2.to_k.weight"]
    extra += [f"controlnet_{layer}.to_k.weight", f"{layer}.processor.to_k.weight"]
    assert find(shapes | dict.fromkeys(extra, (320, 999))) == find(shapes)


@pytest.mark.parametrize(
    ("projections", "blocks", "count"),
    [
        ("keys and values", (), 32),
        ("keys", (), 16),
        ("values", (), 16),
        ("keys and values", ("down",), 12),
        ("keys and values", ("mid",), 2),
        ("values", ("mid", "up"), 10),
        ("keys and values", ("{block}",), 6),
        ("keys", ("{block}", "up"), 9),
        ("keys and values", ("{block}", "mid"), 8),
    ],
)
def test_select_in_diffusers_names(projections, blocks, count):
    _, found = find(unet("SD 1.5"))
    chosen = select(found, projections, [block.format(block="up_blocks.2") for block in blocks])
    assert len(chosen) == count
    assert chosen == [projection for projection in found if projection in chosen]


def test_select_one_ldm_block():
    _, found = find(ldm(SDXL_LDM, 2048))
    assert [p.module for p in select(found, "values", ["output_blocks.3"])] == [
        f"output_blocks.3.1.transformer_blocks.{number}.attn2.to_v" for number in range(2)
    ]
    assert len(select(found, blocks=["input_blocks.7"])) == 20
    assert select(found, blocks=["middle_block.1"]) == select(found, blocks=["mid"])


def test_block_without_projections_is_refused_and_the_others_named():
    _, found = find(unet("KOALA"))
    with pytest.raises(EditError) as caught:
        select(found, blocks=["up", "mid"])
    assert str(caught.value) == (
        "This model has no text projections in a block “mid”; "
        "choose from down, down_blocks.1, down_blocks.2, up, up_blocks.0, up_blocks.1."
    )


def test_block_number_must_match_whole():
    _, found = find(ldm(SD_LDM, 768))
    assert {p.block for p in select(found, blocks=["input_blocks.1", "output_blocks.11"])} == {
        "input_blocks.1",
        "output_blocks.11",
    }
    with pytest.raises(EditError, match="no text projections in a block “input_blocks”"):
        select(found, blocks=["input_blocks"])


SELF_ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k.weight"


@pytest.mark.parametrize("names", [[], ["joint_blocks.0.attn.qkv.weight"], [SELF_ATTENTION]])
def test_model_without_cross_attention_is_refused(names):
    with pytest.raises(EditError, match=r"no place where text enters .* SD 1\.x, SD 2\.x, SDXL .*; load one of these"):
        find(dict.fromkeys(names, (320, 768)))


ENTRIES = {
    "PixArt": {"y_embedder.y_proj.fc1.weight": (1152, 4096), "blocks.0.cross_attn.kv_linear.weight": (2304, 1152)},
    "SD3": {"context_embedder.weight": (1536, 4096), "joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536)},
    "Flux": {"txt_in.weight": (3072, 4096), "vector_in.in_layer.weight": (3072, 768)},
}


@pytest.mark.parametrize("name", ENTRIES)
def test_transformers_have_one_text_input(name):
    shapes = {f"diffusion_model.{key}": shape for key, shape in ENTRIES[name].items()}
    family, (found, *pooled) = find(shapes)
    assert [layer.kind for layer in pooled] == ["pooled input"] * (name == "Flux")
    assert family.name == name and family.experimental == (name != "PixArt")
    assert found.key == next(iter(shapes)) and found.kind == "text input"
    assert found.diffusers_module == found.module and found.block == found.module.split(".")[0]
    assert lora_name(found, family) == "lora_unet_" + found.module.replace(".", "_")
    assert select([found]) == [found] and select([found], blocks=["input"]) == [found]
    with pytest.raises(EditError) as caught:
        select([found], "values")
    assert str(caught.value) == "In this model keys and values read text through one layer; choose “keys and values”."
    for more in ({found.key: (100, 1)}, {f"another.{found.key}": shapes[found.key]}):
        with pytest.raises(EditError, match="stored packed"):
            find({**shapes, **more})
    with pytest.raises(EditError, match="no place where text enters"):
        find({found.key: (8, 4096)})  # a layer of that name in some other model


CROSS = {f"blocks.{block}.cross_attn.{layer}.weight": (96, 64) for block in (0, 11) for layer in ("q_proj", "k_proj", "v_proj")}
BY_BLOCKS = {
    "Cosmos Predict2": {**CROSS, "blocks.0.adaln_modulation_cross_attn.1.weight": (16, 96)},
    "Anima": {
        **CROSS,
        "blocks.0.adaln_modulation_cross_attn.1.weight": (16, 96),
        "llm_adapter.blocks.0.cross_attn.k_proj.weight": (32, 32),
    },
}


@pytest.mark.parametrize("name", BY_BLOCKS)
def test_transformers_whose_blocks_read_text(name):
    family, found = find({f"model.diffusion_model.{key}": shape for key, shape in BY_BLOCKS[name].items()})
    assert (family.name, family.width, family.by_text, family.own_layers) == (name, 64, name != "Anima", name == "Anima")
    assert [(layer.kind, layer.block, layer.part) for layer in found] == [
        (kind, f"blocks.{block}", "blocks") for block in (0, 11) for kind in ("keys", "values")
    ]
    assert [layer.module for layer in select(found, "values", ["blocks.11"])] == ["blocks.11.cross_attn.v_proj"]
    assert lora_name(found[0], family) == "diffusion_model.blocks.0.cross_attn.k_proj"
    with pytest.raises(EditError, match="stored packed"):
        find({**BY_BLOCKS[name], "blocks.0.cross_attn.k_proj.weight": (3072, 1)})


def test_wan_reads_text_through_one_layer_and_its_blocks_behind_it():
    shapes = {"text_embedding.0.weight": (96, 64), "text_embedding.2.weight": (96, 96), "time_projection.1.weight": (8, 8)}
    blocks = {
        f"{part}blocks.0.cross_attn.{kind}.weight": (96, 96) for part in ("", "vace_") for kind in ("q", "k", "v", "k_img")
    }
    family, (entry,) = find(shapes | blocks)
    assert (family.name, entry.module, family.behind) == ("Wan", "text_embedding.0", "text_embedding.2")
    assert [layer.module for layer in cross_attention(shapes | blocks, family)] == [
        f"{part}blocks.0.cross_attn.{kind}" for part in ("", "vace_") for kind in "kv"
    ]


def test_two_layers_may_read_the_same_text():
    shapes = {
        "txt_in.input_embedder.weight": (96, 64), "txt_in.c_embedder.in_layer.weight": (96, 64),
        "vector_in.in_layer.weight": (96, 768), "double_blocks.0.img_mod.lin.weight": (8, 8),
    }  # fmt: skip
    family, found = find(shapes)
    assert family.name == "Hunyuan Video" and [layer.kind for layer in found] == ["text input", "text input", POOLED]
    with pytest.raises(EditError, match="stored packed"):
        find({**shapes, "txt_in.c_embedder.in_layer.weight": (96, 32)})


def test_norms_side_by_side_are_in_the_order_of_their_parts():
    shapes = {"txt_in.weight": (8, 24)} | {f"txt_norm.{part}.weight": (2,) for part in (10, 2, 0, 1)}
    family, _ = find(shapes)
    assert family.name == "Lens" and norms_of(shapes, family) == [f"txt_norm.{part}.weight" for part in (0, 1, 2, 10)]
    one = {"txt_in.weight": (8, 24), "txt_norm.weight": (24,)}
    family, _ = find(one)
    assert family.name == "Qwen-Image" and norms_of(one, family) == ["txt_norm.weight"]


def test_transformer_models_in_diffusers_names_are_refused():
    shapes = shapes_of(
        diffusers.PixArtTransformer2DModel, num_layers=1, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16
    )
    assert any(name.endswith("attn2.to_k.weight") for name in shapes)
    with pytest.raises(EditError, match="no place where text enters"):
        find(shapes)


def test_a_unet_that_reads_t5_is_not_taken_for_a_transformer():
    with pytest.raises(EditError, match="reads text of width 4096"):
        find(ldm(SD_LDM, 4096))


@pytest.mark.parametrize("width", [1280, 767])
def test_unknown_width_is_refused(width):
    with pytest.raises(EditError, match=f"reads text of width {width}"):
        find(ldm(SD_LDM, width))
    with pytest.raises(EditError, match=f"reads text of width {width}"):
        families_of(width)


@pytest.mark.parametrize("shape", [(320 * 768 // 2, 1), (122880,), (320, 384)])
def test_packed_weights_are_refused(shape):
    shapes = ldm(SD_LDM, 768)
    shapes[f"diffusion_model.{SD_LDM[3]}.weight"] = shape
    with pytest.raises(EditError) as caught:
        find(shapes)
    said = "This model's text projections are stored packed or in several sizes; load it unquantised or in fp8."
    assert str(caught.value) == said
    with pytest.raises(EditError) as caught:
        find({key: (122880,) for key in ldm(SD_LDM, 768)})
    assert str(caught.value) == said


def test_video_models_are_refused():
    spatial = shapes_of(diffusers.UNetSpatioTemporalConditionModel)
    motion = shapes_of(diffusers.UNetMotionModel, cross_attention_dim=768)
    ldm_video = ldm(SD_LDM, 1024) | {"diffusion_model.input_blocks.1.1.time_stack.0.attn2.to_k.weight": (320, 1024)}
    for shapes in (spatial, motion, ldm_video):
        with pytest.raises(EditError, match="video model"):
            find(shapes)


def lora_names(shapes):
    family, found = find(shapes)
    return [lora_name(projection, family) for projection in found]


@pytest.mark.parametrize("width", [768, 1024])
def test_ldm_names_give_the_lora_names_of_diffusers(width):
    from_ldm = lora_names(ldm(SD_LDM, width))
    from_diffusers = set(lora_names(unet("SD 1.5" if width == 768 else "SD 2.1")))
    # Both lists go through the network from its input to its output, so they pair up in order.
    attentions = [f"down_blocks_{level}_attentions_{number}" for level in range(3) for number in range(2)]
    attentions += ["mid_block_attentions_0"]
    attentions += [f"up_blocks_{level}_attentions_{number}" for level in range(1, 4) for number in range(3)]
    assert from_ldm == [f"lora_unet_{layer}_transformer_blocks_0_attn2_to_{kind}" for layer in attentions for kind in "kv"]
    assert set(from_ldm) == from_diffusers
    assert len(from_diffusers) == 32


@pytest.mark.parametrize(
    ("name", "modules", "width", "level"),
    [
        ("SD 1.5", SD_LDM, 768, 3),
        ("small SD", SMALL_SD_LDM, 768, 2),
        ("SDXL", SDXL_LDM, 2048, 3),
        ("SSD-1B", SSD_1B_LDM, 2048, 3),
        ("KOALA", KOALA_LDM, 2048, 2),
    ],
)
def test_every_module_has_its_name_in_diffusers(name, modules, width, level):
    _, from_ldm = find(ldm(modules, width, level=level))
    _, from_diffusers = find(unet(name))
    from_diffusers = [projection for projection in from_diffusers if projection.kind != POOLED]
    assert sorted(p.diffusers_module for p in from_ldm) == sorted(p.module for p in from_diffusers)
    assert all(p.diffusers_module == p.module for p in from_diffusers)


def test_sdxl_keeps_ldm_names_in_lora_files():
    names = lora_names(ldm(SDXL_LDM, 2048))
    assert names == [f"lora_unet_{module.replace('.', '_')}" for module in SDXL_LDM]
    assert len(set(names)) == 140
    assert names[0] == "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
