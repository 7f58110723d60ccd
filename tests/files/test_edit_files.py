"""Edit files and LoRA files: what is written comes back, and anything else is refused."""

import pickle
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import torch
from edit_assumption.editing import whole_file
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import Edit
from edit_assumption.editing.assumptions.edit_lora import lora_tensors
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.editing.edit_file import is_edit, load_edit, read_header, save_edit
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.lora_file import lora_metadata, save_lora
from edit_assumption.editing.projections import POOLED, families_of, find
from safetensors import safe_open
from safetensors.torch import load_file, save_file

WIDTH = 768


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def example_edit(width=WIDTH, rank=5, size=1.0):
    recipe = Recipe(
        (PromptPair("a “pack” -> of # roses", "薔薇 | blue \\", 0.3, 2.0, ("Art of", "{} *")), PromptPair("Van Gogh", "")),
        preserve=("= a tulip",),
        regularization=0.123,
        projections="values",
        blocks=("mid", "up"),
    )
    context_map = ContextMap.from_product(random(width, rank) / width, size * random(rank, width, seed=1))
    identity = EncoderIdentity("a “pack” -> of # roses", random(16, width, seed=2))
    return Edit(recipe, context_map, identity, tokens=308, edited=231, residual=0.1 + 0.2)


@pytest.fixture
def saved(tmp_path):
    """An edit file, and a way to write it again with something in it replaced."""
    path = tmp_path / "edit.safetensors"
    save_edit(example_edit(), path)
    return path


def rewrite(path, tensors=(), **header):
    """The file at ``path`` with other tensors or header entries; None takes one out."""
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), **header}
    kept = {**load_file(path), **dict(tensors)}
    kept = {name: tensor for name, tensor in kept.items() if tensor is not None}
    save_file(kept, path, {name: value for name, value in metadata.items() if value is not None})


def header_of(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_edit_comes_back_bit_for_bit(saved):
    before, after = example_edit(), load_edit(saved)
    assert after.recipe == before.recipe
    assert torch.equal(after.context_map.left, before.context_map.left)
    assert torch.equal(after.context_map.right, before.context_map.right)
    assert after.encoder.prompt == before.encoder.prompt
    assert torch.equal(after.encoder.embeddings, before.encoder.embeddings)
    assert (after.tokens, after.edited, after.residual, after.ordinary_reach) == (308, 231, 0.1 + 0.2, None)
    save_edit(replace(before, ordinary_reach=0.1 + 0.6), saved)
    assert load_edit(saved).ordinary_reach == 0.1 + 0.6


def test_saving_takes_a_text_path_and_overwrites(tmp_path):
    path = str(tmp_path / "bearbeitung ü.safetensors")
    save_edit(example_edit(rank=2), path)
    save_edit(example_edit(rank=3), path)
    assert load_edit(path).context_map.rank == 3
    assert names_in(tmp_path) == ["bearbeitung ü.safetensors"]


def test_header_is_readable_and_keeps_more_texts_without_letting_them_win(tmp_path):
    path = tmp_path / "edit.safetensors"
    edit = example_edit()
    save_edit(edit, path, {"workflow": "{}", "format": "something else"})
    header = header_of(path)
    assert header["workflow"] == "{}"
    assert header["format"] == "edit_assumption"
    assert header["family"] == "SD 1.x" and header["format_version"] == "1"  # which the first release reads
    assert header["recipe_text"] == edit.recipe.to_text()
    assert load_edit(path).recipe == edit.recipe


def refused(path, reason):
    with pytest.raises(EditError, match=reason) as caught:
        load_edit(path)
    assert f"“{path.name}”" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" * 99, (10**9).to_bytes(8, "little") + b"{}", b"\xff" * 400])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "edit.safetensors"
    path.write_bytes(content)
    refused(path, "is damaged or is not an edit")


def test_missing_file_and_folder_are_refused(tmp_path):
    refused(tmp_path / "gone.safetensors", "no longer there; choose another one")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "cannot be read: it is a folder")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"modelspec.architecture": "stable-diffusion-v1/lora"}])
def test_other_safetensors_are_refused(tmp_path, metadata):
    path = tmp_path / "lora.safetensors"
    save_file({"left": torch.ones(2, 2)}, path, metadata)
    refused(path, "is not an edit; choose a file that Save Edit wrote")


@pytest.mark.parametrize("version", ["5", "10", "1.5", "", None])
def test_newer_versions_are_refused(saved, version):
    rewrite(saved, format_version=version)
    refused(saved, "newer version of Edit Assumption; update it")


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.05, 0.01])
def test_truncated_file_is_refused(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(kept * len(content))])
    refused(saved, "damaged")


@pytest.mark.parametrize(
    "tensors",
    [
        {"left": random(WIDTH, 4)},
        {"right": random(5, WIDTH - 1)},
        {"right": random(5 * WIDTH)},
        {"left": random(5 * WIDTH)},
        {"left": torch.tensor(1.0)},
        {"left": random(WIDTH, 5).T.contiguous(), "right": random(WIDTH, 5)},
        {"left": torch.zeros(WIDTH, 0), "right": torch.zeros(0, WIDTH)},
        {"encoder": random(16, WIDTH + 1)},
        {"encoder": random(WIDTH)},
        {"left": None},
        {"encoder": None},
    ],
    ids=lambda tensors: ", ".join(f"{name} {'-' if tensor is None else [*tensor.shape]}" for name, tensor in tensors.items()),
)
def test_damaged_tensors_are_refused(saved, tensors):
    rewrite(saved, tensors)
    refused(saved, "damaged")


def test_tensors_of_other_shapes_are_named_as_the_reason(saved):
    rewrite(saved, {"encoder": random(WIDTH)})
    refused(saved, r"edit \(tensors do not fit each other\); save the edit again")


@pytest.mark.parametrize(("width", "family"), [(4096, "PixArt or SD3 or Flux"), (5, "other")])
def test_models_of_an_edits_width_are_named(tmp_path, width, family):
    save_edit(example_edit(width=width), tmp_path / "edit.safetensors")
    assert header_of(tmp_path / "edit.safetensors")["family"] == family


@pytest.mark.parametrize("name", ["left", "right"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(saved, name, bad):
    tensor = load_file(saved)[name]
    tensor[1, 2] = bad
    rewrite(saved, {name: tensor})
    refused(saved, "cannot be used: The edit is not finite")


@pytest.mark.parametrize("entry", ["recipe", "encoder_prompt", "tokens", "edited", "residual"])
def test_incomplete_header_is_refused(saved, entry):
    rewrite(saved, **{entry: None})
    refused(saved, "damaged")


def test_other_numbers_and_recipes_in_the_header_are_refused(saved):
    rewrite(saved, recipe='{"pairs": []}')
    refused(saved, "cannot be used: The recipe has no edit")
    rewrite(saved, recipe="[]")
    refused(saved, "cannot be used: This is not a recipe in JSON")
    rewrite(saved, recipe=example_edit().recipe.to_json(), tokens="many")
    refused(saved, "damaged")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_are_never_opened(tmp_path):
    sprung = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(sprung)))
    sprung.unlink()  # so the trap works
    for name, save in (("edit.safetensors", pickle.dump), ("edit.ckpt", lambda thing, file: torch.save(thing, file))):
        path = tmp_path / name
        with path.open("wb") as file:
            save({"left": torch.ones(2, 2), "trap": Trap(sprung)}, file)
        refused(path, "is damaged or is not an edit")
        assert not sprung.exists()


def test_failure_while_writing_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(file):
        assert file.tell() > 0
        raise OSError("no space left")

    monkeypatch.setattr(whole_file, "_onto_disk", fail)
    for write in (lambda: save_edit(example_edit(rank=2), saved), lambda: save_lora(saved, {}, {})):
        with pytest.raises(OSError, match="no space left"):
            write()
        assert saved.read_bytes() == before
        assert names_in(saved.parent) == [saved.name]


def test_failure_to_put_the_file_in_place_leaves_nothing(tmp_path):
    (tmp_path / "edit.safetensors").mkdir()
    with pytest.raises(OSError):
        save_edit(example_edit(), tmp_path / "edit.safetensors")
    assert names_in(tmp_path) == ["edit.safetensors"]


def test_edit_of_a_width_that_no_family_reads_is_kept_too(tmp_path):
    """It was made from a text encoder alone, for its prompts."""
    save_edit(example_edit(width=64), tmp_path / "edit.safetensors")
    assert torch.equal(load_edit(tmp_path / "edit.safetensors").context_map.left, example_edit(width=64).context_map.left)


def encoder_of(embeddings):
    """Always gives these embeddings; keeps the prompts it was asked for."""
    asked = []

    def encode(prompts):
        asked.extend(prompts)
        count = len(embeddings)
        return [EncodedPrompt(("x",) * count, (Chunk(0, range(count), count),), embeddings) for _ in prompts]

    encode.asked = asked
    return encode


def moved(share):
    """The edit's identity, every number ``share`` of its size away, and tokens that follow it."""
    there = example_edit().encoder.embeddings
    return torch.cat([there + share * there * random(16, WIDTH, seed=7).sign(), random(61, WIDTH, seed=8)])


def test_same_encoder_is_accepted_in_any_precision():
    edit = example_edit()
    encode = encoder_of(moved(0.0))
    assert edit.check_encoder(encode) == ""
    assert encode.asked == ["a “pack” -> of # roses"]
    assert edit.check_encoder(encoder_of(moved(0.01))) == ""
    assert edit.check_encoder(encoder_of(moved(0.0).bfloat16())) == ""


def test_an_identity_is_kept_in_float32():
    (prompt,) = encoder_of(moved(0.0).half())(["a rose"])
    assert EncoderIdentity.of("a rose", prompt).embeddings.dtype == torch.float32


def test_related_encoder_is_accepted_with_a_remark():
    assert "related text encoder (10% away)" in example_edit().check_encoder(encoder_of(moved(0.1)))


@pytest.mark.parametrize("embeddings", [moved(0.3), random(77, WIDTH), -moved(0.0), moved(0.0)[:8], moved(0.0) * float("nan")])
def test_unrelated_encoder_is_refused(embeddings):
    with pytest.raises(EditError) as caught:
        example_edit().check_encoder(encoder_of(embeddings))
    assert str(caught.value) == (
        "This edit was made for another text encoder; connect the CLIP it was made with (same model family and same CLIP "
        "skip), or make the edit again from its recipe."
    )


def test_encoder_of_another_width_is_refused_with_both_widths():
    with pytest.raises(EditError, match=r"another text encoder \(width 768, this one gives 1024\)"):
        example_edit().check_encoder(encoder_of(random(77, 1024)))


def test_identity_that_is_not_finite_matches_no_encoder(saved):
    tensor = load_file(saved)["encoder"]
    tensor[1, 2] = float("nan")
    rewrite(saved, {"encoder": tensor})
    with pytest.raises(EditError):
        load_edit(saved).check_encoder(encoder_of(moved(0.0)))


def model(width=WIDTH, dtype=torch.float32):
    """Family, projections and weights of a few layers under LDM's names."""
    blocks = ("input_blocks.1", "middle_block", "output_blocks.5")
    names = [f"diffusion_model.{block}.1.transformer_blocks.0.attn2.to_{kind}.weight" for block in blocks for kind in "kv"]
    weights = {name: (random(24 + number, width, seed=number) / width**0.5).to(dtype) for number, name in enumerate(names)}
    family, found = find({name: weight.shape for name, weight in weights.items()})
    return family, found, weights


LAYERS = [
    f"lora_unet_{block}_transformer_blocks_0_attn2_to_{kind}"
    for block in ("down_blocks_0_attentions_0", "mid_block_attentions_0", "up_blocks_1_attentions_2")
    for kind in "kv"
]


def update_of(tensors, name):
    """What a tool that loads LoRA adds to the weight, in float64."""
    up, down = tensors[f"{name}.lora_up.weight"].double(), tensors[f"{name}.lora_down.weight"].double()
    return up @ down * float(tensors[f"{name}.alpha"]) / len(down)


def exact_update(edit, weight):
    return weight.double() @ edit.context_map.left.double() @ edit.context_map.right.double()


def test_lora_adds_what_the_edit_changes():
    edit = example_edit()
    family, found, weights = model()
    tensors = lora_tensors(edit, family, found, weights)
    parts = ("lora_up.weight", "lora_down.weight", "alpha")
    assert tensors.keys() == {f"{name}.{part}" for name in LAYERS for part in parts}
    for name, weight in zip(LAYERS, weights.values(), strict=True):
        exact = exact_update(edit, weight)
        assert float((update_of(tensors, name) - exact).norm() / exact.norm()) < 1e-6
        torch.testing.assert_close(weight + update_of(tensors, name).float(), edit.context_map.apply_to_weight(weight))
        assert tensors[f"{name}.alpha"].shape == ()
        assert tensors[f"{name}.lora_up.weight"].shape == (len(weight), 5)


def test_lora_of_half_precision_weights_is_computed_in_float32():
    edit = example_edit()
    family, found, weights = model(dtype=torch.bfloat16)
    tensors = lora_tensors(edit, family, found, weights)
    exact = exact_update(edit, weights[found[0].key])
    assert float((update_of(tensors, LAYERS[0]) - exact).norm() / exact.norm()) < 1e-6


@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.01])
def test_truncated_lora_has_the_lowest_rank_within_the_tolerance(tolerance):
    edit = example_edit()
    falling = ContextMap(edit.context_map.left * 0.3 ** torch.arange(5), edit.context_map.right)
    edit = replace(edit, context_map=falling)
    family, found, weights = model()
    tensors = lora_tensors(edit, family, found, weights, tolerance)
    for name, weight in zip(LAYERS, weights.values(), strict=True):
        exact = exact_update(edit, weight)
        rank = len(tensors[f"{name}.lora_down.weight"])
        assert rank < 5
        assert float((update_of(tensors, name) - exact).norm()) <= tolerance * float(exact.norm())
        assert torch.linalg.svdvals(exact)[rank - 1 :].norm() > tolerance * exact.norm()
        assert float(tensors[f"{name}.alpha"]) == rank


@pytest.mark.parametrize(("dtype", "error"), [(torch.float16, 2e-3), (torch.bfloat16, 1e-2)])
def test_lora_in_half_precision(dtype, error):
    edit = example_edit()
    family, found, weights = model()
    tensors = lora_tensors(edit, family, found, weights, dtype=dtype)
    assert tensors[f"{LAYERS[0]}.lora_up.weight"].dtype == tensors[f"{LAYERS[0]}.lora_down.weight"].dtype == dtype
    exact = exact_update(edit, weights[found[0].key])
    assert 0 < float((update_of(tensors, LAYERS[0]) - exact).norm() / exact.norm()) < error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_alpha_is_the_rank_exactly(dtype):
    """301 is no bfloat16 number; rounded it would change the strength of the whole LoRA."""
    family, found, weights = model()
    tensors = lora_tensors(example_edit(rank=301), family, found[:1], weights, dtype=dtype)
    assert float(tensors[f"{LAYERS[0]}.alpha"]) == 301


def test_values_beyond_float16_are_refused():
    edit = example_edit(size=1e6)
    family, found, weights = model()
    with pytest.raises(EditError, match="does not fit into float16; save it in float32"):
        lora_tensors(edit, family, found, weights, dtype=torch.float16)
    assert lora_tensors(edit, family, found, weights)


def test_lora_for_a_model_of_another_width_is_refused():
    family, found, weights = model(width=1024)
    with pytest.raises(EditError) as caught:
        lora_tensors(example_edit(), family, found, weights)
    assert str(caught.value) == (
        "The edit was made for models that read text of width 768, but this one is SD 2.x; connect the model that it was "
        "made for."
    )


def test_lora_of_a_damaged_model_is_refused():
    family, found, weights = model()
    weights[found[0].key][0, 0] = float("nan")
    with pytest.raises(EditError) as caught:
        lora_tensors(example_edit(), family, found, weights)
    assert str(caught.value) == f"The model's weight {found[0].key} is not finite; load an undamaged checkpoint."


def test_maps_are_padded_for_weights_that_read_more():
    edit = example_edit()
    _, found, _ = model()
    pooled, *others = (replace(one, kind=kind) for one, kind in zip(found, (POOLED, *["keys"] * 5), strict=True))
    widths = dict(zip((one.key for one in found), (5, WIDTH, WIDTH + 2, WIDTH + 2, WIDTH + 3, WIDTH), strict=True))
    maps = edit.maps([pooled, *others], widths)
    same, first, second, third, last = (maps[one.key] for one in others)
    assert len(maps) == 5 and same is last is edit.context_map and first is second and first is not third
    assert [one.width for one in (first, third)] == [WIDTH + 2, WIDTH + 3]
    both = replace(edit, pooled_map=edit.context_map.scale(0.5)).maps([pooled, others[1]], {**widths, pooled.key: WIDTH + 2})
    assert torch.equal(2 * both[pooled.key].left, both[others[1].key].left)  # each by its own map
    with pytest.raises(EditError) as caught:
        edit.maps(found[:1], {found[0].key: WIDTH - 1})
    assert str(caught.value) == f"The weight {found[0].key} is stored packed; load the model unquantised or in fp8."


def test_progress_is_told_once_a_layer():
    family, found, weights = model()
    told = []
    lora_tensors(example_edit(), family, found[1:4], weights, progress=lambda: told.append(1))
    assert len(told) == 3


@pytest.mark.parametrize(
    ("width", "base", "v2", "architecture"),
    [
        (768, "sd_v1", "False", "stable-diffusion-v1/lora"),
        (1024, "sd_v2", "True", "stable-diffusion-v2/lora"),
        (2048, "sdxl_base_v1-0", "False", "stable-diffusion-xl-v1-base/lora"),
    ],
)
def test_metadata_names_the_base_model(width, base, v2, architecture):
    edit = example_edit(width=width)
    family, found, weights = model(width=width)
    metadata = lora_metadata(edit, family, lora_tensors(edit, family, found, weights), "Blue roses")
    assert metadata["ss_base_model_version"] == base
    assert metadata["ss_v2"] == v2
    assert metadata["modelspec.architecture"] == architecture
    assert metadata["modelspec.title"] == metadata["ss_output_name"] == "Blue roses"
    assert metadata["ss_network_module"] == "networks.lora"
    assert metadata["ss_network_dim"] == metadata["ss_network_alpha"] == "5"
    assert metadata["edit_assumption.recipe"] == edit.recipe.to_text()
    assert metadata["modelspec.sai_model_spec"] == "1.0.0"
    assert metadata["modelspec.implementation"] == "https://github.com/Stability-AI/generative-models"
    assert metadata["modelspec.description"] == f"Closed-form edit of {edit.changes_what} by Edit Assumption"
    made = datetime.strptime(metadata["modelspec.date"], "%Y-%m-%dT%H:%M:%S")
    assert abs(datetime.now() - made) < timedelta(minutes=1)
    assert all(isinstance(value, str) for value in metadata.values())


def test_metadata_of_several_ranks_is_dynamic():
    tensors = {"a.alpha": torch.tensor(3.0), "b.alpha": torch.tensor(4.0)}
    assert lora_metadata(example_edit(), families_of(768)[0], tensors, "x")["ss_network_dim"] == "Dynamic"


def test_lora_file_holds_tensors_and_metadata(tmp_path):
    edit = example_edit()
    family, found, weights = model()
    tensors = lora_tensors(edit, family, found, weights)
    metadata = lora_metadata(edit, family, tensors, "Blue roses")
    path = tmp_path / "roses.safetensors"
    save_lora(path, tensors, metadata)
    loaded = load_file(path)
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert header_of(path) == metadata
    refused(path, "is not an edit; choose a file that Save Edit wrote")


def test_an_edits_texts_are_read_without_its_tensors(tmp_path):
    path = tmp_path / "edit.safetensors"
    save_edit(example_edit(), path)
    assert read_header(path) == header_of(path) and read_header(path)["recipe_text"] == example_edit().recipe.to_text()
    texts = {name: text for name, text in header_of(path).items() if name != "recipe_text"}
    save_file({"a": torch.zeros(1)}, path, texts)
    with pytest.raises(EditError) as caught:
        read_header(path)
    assert str(caught.value) == "“edit.safetensors” is damaged or is not an edit (it has no recipe); save the edit again."


def test_an_edit_is_told_from_other_files_by_its_header(tmp_path):
    path, other = tmp_path / "edit.safetensors", tmp_path / "other.safetensors"
    save_edit(example_edit(), path)
    save_file({"a": torch.zeros(1)}, other)
    assert is_edit(path) and not is_edit(other) and not is_edit(tmp_path / "gone.safetensors")
    other.write_text("no header")
    assert not is_edit(other) and not is_edit(tmp_path)
