"""Edit Assumption in a real ComfyUI: what the model then believes, and what it must not do."""

import pytest
import torch
from comfy_graphs import (
    DESTINATION,
    SOURCE,
    Pipeline,
    encoded_by_host,
    latent,
    latent_of,
    loaded_weights,
    pixels,
    replaced,
    sentences,
    text,
)
from comfy_server import RunError
from formulas import distance, insertion, published_map
from safetensors.torch import load_file, save_file

FAMILIES = ("sd1", "sd2", "sdxl")
TULIPS = ("a vase of tulips", "a vase of black tulips")
LONG = ", ".join(["a field of roses under a wide evening sky"] * 17)  # 17 x 10 tokens less one comma: three chunks


def projections(server, family="sd1"):
    return loaded_weights(server, Pipeline(family).sample())[0]


def host_map(server, family="sd1", clip_skip=None, pairs=((SOURCE, DESTINATION, 4),)):
    texts = [line for source, destination, _ in pairs for line in sentences(source, destination)]
    encoded = encoded_by_host(server, texts, family=family, clip_skip=clip_skip)
    parts = [insertion(encoded, *pair) for pair in pairs]
    return published_map(torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]))


@pytest.mark.parametrize("family", FAMILIES)
def test_strength_zero_is_no_edit(comfy, family):
    plain = latent(comfy, Pipeline(family).sample())
    off = Pipeline(family)
    off.edit(strength=0.0)
    assert torch.equal(latent(comfy, off.sample()), plain)
    on = Pipeline(family)
    on.edit()
    assert distance(latent(comfy, on.sample()), plain) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_a_model_whose_projections_were_replaced_beforehand(comfy, family):
    weights = projections(comfy, family)
    name = replaced(comfy, weights, host_map(comfy, family))
    expected = latent(comfy, Pipeline(family, weights=name).sample())
    edited = Pipeline(family)
    edited.edit()
    after, _ = loaded_weights(comfy, edited.sample())
    wanted = load_file(comfy.base / "output" / name)
    for key in wanted:
        assert distance(after[key] - weights[key], wanted[key] - weights[key]) < 1e-4, key
    assert distance(latent(comfy, edited), expected) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loaded_model_is_never_written_to(comfy, family):
    plain, before = loaded_weights(comfy, Pipeline(family).sample())
    for number in range(5):
        graph = Pipeline(family)
        graph.edit(strength=[1.0, -2.0, 0.5, 2.0, 1.5][number])
        graph.edit(source=TULIPS[0], destination=TULIPS[1], regularization=[0.1, 1.0][number % 2])
        _, changed = loaded_weights(comfy, graph.sample())
        assert changed != before
    again, after = loaded_weights(comfy, Pipeline(family).sample(), "again.safetensors")
    assert after == before
    assert all(torch.equal(again[key], plain[key]) for key in plain)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_chained_edits_does_not_matter(comfy, family):
    pictures = []
    for order in ((SOURCE, TULIPS[0]), (TULIPS[0], SOURCE)):
        graph = Pipeline(family)
        for source in order:
            graph.edit(source=source, destination=DESTINATION if source == SOURCE else TULIPS[1])
        pictures.append(latent(comfy, graph.sample()))
    both = Pipeline(family)
    both.edit(source=f"{SOURCE}\n{TULIPS[0]}", destination=f"{DESTINATION}\n{TULIPS[1]}")
    pictures.append(latent(comfy, both.sample()))
    assert torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[0], pictures[2])


def test_chained_edits_are_the_joint_solution(comfy):
    weights = projections(comfy)
    joint = host_map(comfy, pairs=((SOURCE, DESTINATION, 4), (*TULIPS, 4)))
    graph = Pipeline()
    graph.edit()
    node = graph.edit(source=TULIPS[0], destination=TULIPS[1])
    after, _ = loaded_weights(comfy, graph.sample())
    for key, weight in weights.items():
        assert distance(after[key].double() - weight, weight.double() @ joint - weight) < 1e-4
    assert "solved together" in text(graph.outputs, node)


def test_the_same_edit_twice_is_the_edit_once(comfy):
    once, twice = Pipeline(), Pipeline()
    once.edit()
    twice.edit()
    twice.edit()
    assert torch.equal(latent(comfy, once.sample()), latent(comfy, twice.sample()))


def test_edits_of_other_settings_compose_in_order(comfy):
    weights = projections(comfy)
    encoded = encoded_by_host(comfy, sentences() + sentences(*TULIPS))
    first = published_map(*insertion(encoded, SOURCE, DESTINATION, 4))
    second = published_map(*insertion(encoded, *TULIPS, 4), regularization=1.0)
    graph = Pipeline()
    graph.edit()
    graph.edit(source=TULIPS[0], destination=TULIPS[1], regularization=1.0)
    after, _ = loaded_weights(comfy, graph.sample())
    for key, weight in weights.items():
        assert distance(after[key].double() - weight, weight.double() @ first @ second - weight) < 1e-4


def some_lora(server, weights, name="some.safetensors"):
    """A random LoRA on every projection; what it adds to each weight."""
    generator = torch.Generator().manual_seed(5)
    tensors, added = {}, {}
    for key, weight in weights.items():
        up = torch.randn(weight.shape[0], 4, generator=generator) * 0.1
        down = torch.randn(4, weight.shape[1], generator=generator) * 0.1
        layer = "lora_unet_" + key.removeprefix("diffusion_model.").removesuffix(".weight").replace(".", "_")
        tensors |= {f"{layer}.lora_up.weight": up, f"{layer}.lora_down.weight": down, f"{layer}.alpha": torch.tensor(4.0)}
        added[key] = (up @ down).double()
    folder = server.base / "models/loras"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name)
    return name, added


@pytest.mark.parametrize("place", ["before", "after", "between"])
def test_beside_a_lora(comfy, place):
    weights = projections(comfy)
    name, added = some_lora(comfy, weights)
    encoded = encoded_by_host(comfy, sentences() + sentences(*TULIPS))
    roses = published_map(*insertion(encoded, SOURCE, DESTINATION, 4))
    tulips = published_map(*insertion(encoded, *TULIPS, 4))
    graph = Pipeline()
    if place == "before":
        graph.lora(name)
    graph.edit()
    if place != "before":
        graph.lora(name)
    if place == "between":
        graph.edit(source=TULIPS[0], destination=TULIPS[1])
    after, _ = loaded_weights(comfy, graph.sample())
    for key, weight in weights.items():
        weight = weight.double()
        wanted = {
            "before": (weight + added[key]) @ roses,
            "after": weight @ roses + added[key],
            "between": (weight @ roses + added[key]) @ tulips,
        }[place]
        assert distance(after[key].double() - weight, wanted - weight) < 1e-4


@pytest.mark.parametrize("prompt", ["(roses:1.4) in a (field:0.7)", LONG], ids=["weights", "three chunks"])
def test_prompts_with_weights_and_of_several_chunks(comfy, prompt):
    name = replaced(comfy, projections(comfy), host_map(comfy))
    edited = Pipeline()
    edited.edit()
    expected = latent(comfy, Pipeline(weights=name).sample(prompt))
    assert distance(latent(comfy, edited.sample(prompt)), expected) < 1e-4


def test_a_source_with_weights_is_encoded_as_the_host_encodes_it(comfy):
    source, destination = "(a pack:1.3) of roses", "(a pack:1.3) of blue roses"
    weights = projections(comfy)
    context_map = host_map(comfy, pairs=((source, destination, 4),))
    graph = Pipeline()
    graph.edit(source=source, destination=destination)
    after, _ = loaded_weights(comfy, graph.sample())
    for key, weight in weights.items():
        assert distance(after[key].double() - weight, weight.double() @ context_map - weight) < 1e-4


def test_a_source_that_comes_from_another_node(comfy):
    typed, linked = Pipeline(), Pipeline()
    typed.edit()
    linked.edit(source=linked.add("PrimitiveString", value=SOURCE)[0])
    assert torch.equal(latent(comfy, typed.sample()), latent(comfy, linked.sample()))


def test_a_source_with_a_textual_inversion(comfy):
    folder = comfy.base / "models/embeddings"
    folder.mkdir(parents=True, exist_ok=True)
    vectors = torch.randn(2, 768, generator=torch.Generator().manual_seed(1)) * 0.02
    save_file({"emb_params": vectors}, folder / "thing.safetensors")
    graph = Pipeline()
    node = graph.edit(source="a embedding:thing", destination="a blue embedding:thing", augmentations="")
    comfy.run(graph.sample())
    shown = text(graph.outputs, node)
    # The start token and "a" are the same in both; "blue" shifts the inversion's two vectors, which keep their partners.
    assert "edited tokens" in shown and int(shown.split("left undone on ")[1].split(" ")[0]) == 75


def test_a_source_of_several_chunks(comfy):
    graph = Pipeline()
    node = graph.edit(source=LONG, destination=LONG.replace("roses", "blue roses", 1), augmentations="")
    shown = text(comfy.run(graph.sample()), node)
    assert "2 of 2 prompts encoded" in shown
    # Three chunks of 77; what stands before the inserted word is the same in both and stays.
    edited = int(shown.split("left undone on ")[1].split(" ")[0])
    assert 2 * 77 < edited < 3 * 77


def test_clip_skip_changes_the_edit(comfy):
    name = replaced(comfy, projections(comfy), host_map(comfy, clip_skip=-2))
    expected = Pipeline(weights=name)
    expected.clip_skip(-2)
    skipped = Pipeline()
    skipped.clip_skip(-2)
    skipped.edit()
    assert distance(latent(comfy, skipped.sample()), latent(comfy, expected.sample())) < 1e-4
    crossed = Pipeline()  # made without CLIP skip, sampled with it
    crossed.edit()
    crossed.clip_skip(-2)
    assert distance(latent(comfy, crossed.sample()), latent(comfy, expected)) > 1e-3


def test_preserved_prompts_stay(comfy):
    weights = projections(comfy)
    encoded = encoded_by_host(comfy, ["a pack of tulips"])["a pack of tulips"]

    def moved(preserve):
        graph = Pipeline()
        graph.edit(preserve=preserve)
        after, _ = loaded_weights(comfy, graph.sample())
        key = next(iter(weights))
        return distance(encoded @ after[key].T, encoded @ weights[key].T)

    assert moved("a pack of tulips") < 0.2 * moved("")


@pytest.mark.parametrize(("choice", "kept"), [("values", "to_k"), ("keys", "to_v")])
def test_only_the_chosen_projections_and_blocks_are_patched(comfy, choice, kept):
    weights = projections(comfy)
    graph = Pipeline()
    node = graph.edit(projections=choice, blocks="mid, output_blocks.0")
    after, _ = loaded_weights(comfy, graph.sample())
    changed = {key for key in weights if not torch.equal(after[key], weights[key])}
    assert changed
    assert all(kept not in key and ("middle_block" in key or "output_blocks.0." in key) for key in changed)
    assert f"{len(changed)} projections patched" in text(graph.outputs, node)


def test_unchanged_prompts_are_not_encoded_again(comfy):
    shown = []
    for strength in (0.9, 0.8):
        graph = Pipeline()
        node = graph.edit(source="a jar of honey", destination="a jar of green honey", strength=strength)
        shown.append(text(comfy.run(graph.sample()), node))
    assert "8 of 8 prompts encoded" in shown[0]
    assert "0 of 8 prompts encoded" in shown[1]


def test_after_an_interrupted_run(comfy):
    graph = Pipeline()
    graph.edit()
    before = latent(comfy, graph.sample())
    long = Pipeline()
    long.edit(strength=1.7)
    prompt = comfy.queue(long.sample(steps=10000))
    with pytest.raises(RunError, match="interrupted"):
        comfy.interrupt_when_running(prompt)
    plain = latent(comfy, Pipeline().sample(seed=8))
    assert torch.equal(latent(comfy, graph), before)
    assert torch.equal(latent(comfy, Pipeline().sample(seed=8)), plain)


def test_two_prompts_queued_at_once(comfy):
    graphs = []
    for strength in (1.0, 0.5):
        graph = Pipeline()
        graph.edit(strength=strength)
        graphs.append(graph.sample(seed=11))
    queued = [comfy.queue(graph) for graph in graphs]
    together = [latent_of(comfy, graph, comfy.result(prompt)) for graph, prompt in zip(graphs, queued, strict=True)]
    for graph, picture in zip(graphs, together, strict=True):
        assert torch.equal(latent(comfy, graph), picture)
    assert not torch.equal(*together)


def test_fp8_weights(comfy):
    weights, _ = loaded_weights(comfy, Pipeline(size="fp8").sample())
    graph = Pipeline(size="fp8")
    graph.edit()
    after, _ = loaded_weights(comfy, graph.sample())
    context_map = host_map(comfy)
    for key, weight in weights.items():
        wanted = weight.double() @ context_map
        assert distance(after[key].double(), wanted) < 2**-4, key  # half a step of three mantissa bits, rounded at random
        assert distance(weight.double(), wanted) > 0.3, key


BAD = {
    "empty source": (dict(source="  "), "The source is empty"),
    "source equal to destination": (dict(destination=SOURCE), "nothing would change"),
    "lines that do not pair up": (dict(source="one\ntwo", destination="three"), "one destination line for each source line"),
    "strength of 1e9": (dict(strength=1e9), "Value 1000000000.0 bigger than max of 2"),
    "strength that is no number": (dict(strength="nan"), "between -2 and 2"),
    "edit in the preserve box": (dict(preserve="# ours\na -> b"), "Line 2 of preserve: “->” belongs to an edit"),
    "unknown block": (dict(blocks="cellar"), "choose from"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_the_server_goes_on(comfy, case):
    inputs, sentence = BAD[case]
    graph = Pipeline()
    graph.edit(**inputs)
    with pytest.raises(RunError, match=sentence) as error:
        comfy.run(graph.sample())
    assert len(error.value.sentences) == 1
    assert "\n" not in error.value.sentences[0]
    comfy.run(Pipeline().sample())


def test_a_clip_of_another_family_is_refused(comfy):
    graph = Pipeline("sd1")
    graph.clip = graph.add("TestModel", family="sd2", size="small", weights="")[1]
    graph.edit()
    graph.clip = [graph.loaded[0], 1]
    with pytest.raises(RunError, match=r"gives 1024 numbers a token.*connect the CLIP of the same checkpoint"):
        comfy.run(graph.sample())


def test_a_model_without_cross_attention_is_refused(comfy):
    graph = Pipeline()
    graph.model = graph.add("TestModelWithoutText")[0]
    graph.edit()
    with pytest.raises(RunError, match=r"768 numbers a token, and no layer of this model reads as many; connect the CLIP"):
        comfy.run(graph.sample())


def test_the_full_size_checkpoint(comfy, full_checkpoint):
    """Load, edit, save and reload a whole SD 1.5 checkpoint with the host's own nodes."""
    plain = Pipeline(checkpoint=full_checkpoint)
    weights, before = loaded_weights(comfy, plain.sample().picture())
    assert len(weights) == 32
    unedited = pixels(comfy, plain, plain.outputs)

    edited = Pipeline(checkpoint=full_checkpoint)
    edited.edit()
    edited.sample().picture()
    edited.add("CheckpointSave", model=edited.model, clip=edited.clip, vae=edited.vae, filename_prefix="checkpoints/edited")
    outputs = comfy.run(edited)
    picture = latent_of(comfy, edited, outputs)
    assert pixels(comfy, edited, outputs) != unedited

    encoded = encoded_by_host(comfy, sentences(), checkpoint=full_checkpoint)
    context_map = published_map(*insertion(encoded, SOURCE, DESTINATION, 4))
    name = replaced(comfy, weights, context_map, dtype=torch.float16)
    by_hand = Pipeline(size="full", weights=name)
    by_hand.add("CheckpointSave", model=by_hand.model, clip=by_hand.clip, vae=by_hand.vae, filename_prefix="checkpoints/hand")
    comfy.run(by_hand)
    expected = latent(comfy, Pipeline(checkpoint="hand_00001_.safetensors").sample())
    print(f"full size: {distance(picture, expected):.1e} from the picture of weights replaced in float64")
    assert distance(picture, expected) < 2e-3  # both round W M to fp16, once from float32 and once from float64

    reloaded = latent(comfy, Pipeline(checkpoint="edited_00001_.safetensors").sample())
    assert torch.equal(reloaded, picture)
    assert loaded_weights(comfy, plain)[1] == before
    for name in ("edited", "hand"):  # 6 GB
        (comfy.base / f"output/checkpoints/{name}_00001_.safetensors").unlink()
