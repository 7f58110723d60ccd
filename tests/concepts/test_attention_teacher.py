"""The attention teacher of concept edits: its loss by hand, what it leads to, several encoders side by side."""

from functools import partial

import clip_helpers
import pytest
import torch
from concept_towers import new_model, tokenize, tower_of
from edit_assumption.editing.concepts.attention_teacher import AttentionTeacher, queries_of, read_by
from edit_assumption.editing.concepts.concept_lines import Concept
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe
from edit_assumption.editing.concepts.destinations import Destinations
from edit_assumption.editing.concepts.paired_encoders import each_beside
from edit_assumption.editing.concepts.sentences import sentences_of
from edit_assumption.editing.concepts.text_encoder import TextEncoder
from edit_assumption.editing.concepts.values import ValueSettings, find_values
from edit_assumption.editing.errors import EditError
from edit_assumption.pipelines.pipeline_concepts import edit_concepts
from edit_assumption.pipelines.pipeline_teachers import noise_teacher

CONCEPTS = [Concept("rose", "tulip"), Concept("cat", "a painting of a dog"), Concept("dog", "house")]
TEMPLATES = ("a {}", "a photo of a {}")
WIDTH = 32


class CrossAttention(torch.nn.Module):
    def __init__(self, width, text):
        super().__init__()
        self.q, self.k, self.v = (torch.nn.Linear(entry, width, bias=False) for entry in (width, text, text))

    def forward(self, x, context=None):
        return torch.nn.functional.scaled_dot_product_attention(self.q(x), self.k(context), self.v(context))


class Block(torch.nn.Module):
    def __init__(self, width, text):
        super().__init__()
        self.attn1, self.attn2 = CrossAttention(width, width), CrossAttention(width, text)

    def forward(self, x, context):
        return self.attn2(self.attn1(x, x), context=context)


class DiffusionModel(torch.nn.Module):
    def __init__(self, text):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = Block(16, text), Block(16, text)

    def forward(self, x, context):
        return self.second(self.first(x, context), context)


def sentences(concepts=CONCEPTS):
    return sentences_of(concepts, tokenize, TEMPLATES)


@pytest.fixture(scope="module")
def tower():
    return tower_of(new_model(WIDTH))


def teacher_for(text):
    model = DiffusionModel(text)
    queries = queries_of(model, lambda: model(torch.randn(1, 50, 16), torch.randn(1, 77, text)), seed=0)
    return AttentionTeacher(lambda contexts: read_by(queries, contexts), len(TEMPLATES)), queries


def test_queries_are_those_of_the_first_pass_in_inference_mode_too():
    model = DiffusionModel(8)
    x, context = torch.randn(1, 50, 16), torch.randn(1, 77, 8)

    @torch.inference_mode()
    def run():
        model(x, context)
        model(x + 1, context)

    queries = queries_of(model, run, seed=0)
    assert list(queries) == [model.first.attn2, model.second.attn2]
    asked = queries[model.first.attn2]
    every = model.first.attn1(x, x)[0]
    assert asked.shape == (1, 32, 16) and not asked.is_inference() and not asked.requires_grad
    assert all((every - row).abs().sum(1).min() < 1e-5 for row in asked[0])
    again = queries_of(model, run, seed=0)
    assert all(torch.equal(again[layer], queries[layer]) for layer in queries)
    assert not model.first.attn2._forward_pre_hooks


def test_a_model_without_known_layers_is_refused():
    model = torch.nn.Linear(2, 2)
    with pytest.raises(EditError) as caught:
        queries_of(model, lambda: model(torch.ones(1, 2)), seed=0)
    assert str(caught.value) == ("This diffusion model has no cross-attention layers that are known; choose the mode “text”.")


def test_the_loss_is_the_formula():
    teacher, queries = teacher_for(8)
    part = sentences()
    before, meant, edited = (0.01 * torch.randn(len(part.ids), 77, 8) for _ in range(3))
    assert torch.allclose(part.mean(teacher(part, before, meant, 0)), torch.ones(3))
    assert torch.allclose(teacher(part, meant, meant, 1), torch.zeros(6), atol=1e-6)
    found = teacher(part, edited, meant, 2)
    expected = torch.zeros(6)
    for layer, asked in queries.items():

        def apart(contexts, layer=layer, asked=asked):
            return (layer(asked.expand(6, -1, -1), contexts) - layer(asked.expand(6, -1, -1), meant)).square().sum((1, 2))

        begun = apart(before).view(3, 2).mean(1).repeat_interleave(2)
        expected += apart(edited) / begun / len(queries)
    assert torch.allclose(found, expected, rtol=1e-4)


def test_a_model_of_another_precision_is_asked_in_its_own():
    model, part = DiffusionModel(8).double(), sentences()
    queries = queries_of(model, lambda: model(torch.randn(1, 50, 16).double(), torch.randn(1, 77, 8).double()), seed=0)
    teacher = AttentionTeacher(lambda contexts: read_by(queries, contexts), len(TEMPLATES))
    before, meant = torch.randn(2, len(part.ids), 77, 8)
    assert {answer.dtype for answer in read_by(queries, meant)} == {torch.float64}
    found = teacher(part, before, meant, 0)
    assert found.dtype == torch.float32 and torch.allclose(part.mean(found), torch.ones(3))


def test_it_leads_to_what_the_layers_are_meant_to_hand_on(tower):
    teacher, _ = teacher_for(WIDTH)
    settings = ValueSettings(steps=60, text=0.0, decay=0.0)
    taught = find_values(tower, sentences(), 4, settings, teacher)
    part = sentences()
    stream = tower.run(tower.embed(part.ids), 0, 5)
    meant = tower.finish(tower.embed(part.destination), 0)

    def left(shifts):
        moved = stream.clone()
        moved[torch.arange(len(stream)), part.subject] += shifts.float()[part.concept]
        fresh, _ = teacher_for(WIDTH)
        fresh(part, tower.finish(stream, 5), meant, 0)
        with torch.no_grad():
            return part.mean(fresh(part, tower.finish(moved, 5), meant, 1))

    by_text = find_values(tower, sentences(), 4, ValueSettings(steps=60))
    # Far padding of random weights says something of its own, which the search does not look at.
    assert (left(taught.shifts) < 0.95).all() and (left(taught.shifts) < left(by_text.shifts)).all()
    alone = find_values(tower, sentences(CONCEPTS[1:2]), 4, settings, teacher_for(WIDTH)[0])
    assert torch.allclose(alone.shifts[0], taught.shifts[1], atol=1e-3)


def test_several_encoders_stand_side_by_side(tower):
    other = tower_of(new_model(2 * WIDTH, seed=1))
    encoders = [TextEncoder("clip_l", tower, tokenize), TextEncoder("clip_g", other, tokenize)]
    seen = []

    def distill(part, edited, meant, step):
        seen.append((edited, meant, part, step))
        return (edited - meant).square().mean((1, 2))

    both = each_beside(lambda: distill, encoders, ConceptRecipe(tuple(CONCEPTS), templates=TEMPLATES))
    part = sentences().of(torch.tensor([1, 2]))
    edited = torch.randn(len(part.ids), 77, 2 * WIDTH)
    both["clip_g"](part, edited, edited + 1, 0)
    first = tower.finish(tower.embed(part.destination), 0)
    placed = torch.stack([row[partner] for row, partner in zip(first, part.partner, strict=True)])
    assert torch.equal(seen[0][0], torch.cat([placed, edited], 2)) and torch.equal(
        seen[0][1], torch.cat([first, edited + 1], 2)
    )
    both["clip_l"](part.of(torch.tensor([1])), edited[2:, :, :WIDTH], edited[2:, :, :WIDTH], 1)
    assert torch.equal(seen[1][0][..., :WIDTH], edited[2:, :, :WIDTH]) and seen[1][0].shape == (2, 77, 3 * WIDTH)
    assert seen[0][2] is part and [step for *_, step in seen] == [0, 1]
    assert each_beside(lambda: distill, encoders[:1], ConceptRecipe(tuple(CONCEPTS))) == {"clip_l": distill}
    apart = each_beside(lambda: partial(distill), encoders, ConceptRecipe(tuple(CONCEPTS)))
    distill.turns = 5
    assert each_beside(lambda: distill, encoders, ConceptRecipe(tuple(CONCEPTS)))["clip_g"].turns == 5
    assert apart["clip_l"].distill is not apart["clip_g"].distill


@pytest.fixture(scope="module")
def sdxl():
    diffusers, transformers = pytest.importorskip("diffusers"), pytest.importorskip("transformers")
    tokenizer = clip_helpers.clip_tokenizer()
    second = new_model(2 * WIDTH, seed=1)
    projected = transformers.CLIPTextModelWithProjection(second.config)
    torch.manual_seed(2)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=3 * WIDTH, attention_head_dim=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time", addition_time_embed_dim=8, norm_num_groups=8,
        projection_class_embeddings_input_dim=6 * 8 + second.config.projection_dim,
    )  # fmt: skip
    return diffusers.StableDiffusionXLPipeline(
        vae=diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=8),
        text_encoder=new_model(WIDTH), text_encoder_2=projected.eval(), tokenizer=tokenizer, tokenizer_2=tokenizer,
        unet=unet.eval(), scheduler=diffusers.DDIMScheduler(), add_watermarker=False,
    )  # fmt: skip


def test_the_noise_teacher_asks_the_model_at_points_of_its_schedule(sdxl):
    recipe = ConceptRecipe((Concept("rose", "tulip"),), templates=TEMPLATES, mode="full")
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    drawn = Destinations(recipe, "any", 0, [clean], lambda concept, seed: clean)
    contexts, points, seen = torch.randn(3, 77, 3 * WIDTH), torch.tensor([0.5, 0.75, 1.0]), []
    hook = sdxl.unet.register_forward_pre_hook(lambda module, arguments: seen.append(arguments))
    try:
        predicted = noise_teacher(sdxl, recipe, drawn, 0)().predict(clean, noise, points, contexts)
    finally:
        hook.remove()
    ((noisy, times, read),) = seen
    assert times.tolist() == [499, 749, 999] and torch.equal(read, contexts) and predicted.shape == clean.shape
    assert torch.allclose(noisy, sdxl.scheduler.add_noise(clean, noise, times), atol=1e-5)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_what_pictures_teach_is_what_the_scheduler_trains(sdxl, kind, monkeypatch):
    """By hand, from what the UNet was asked: the noise in it, the clean latents, or the velocity between them.

    1 + (what the edited text's prediction lacks - what the source's lacks) / how far the source's is from the meant one's.
    """
    turns, each = 8, len(TEMPLATES)
    monkeypatch.setattr(sdxl, "scheduler", type(sdxl.scheduler).from_config(sdxl.scheduler.config, prediction_type=kind))
    recipe = ConceptRecipe((Concept("rose", "", pictures=True),), templates=TEMPLATES, mode="full")
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(1, 4, 8, 8, generator=generator)  # one picture: each noise is added to it
    source, meant, edited = torch.randn(3, each, 77, 3 * WIDTH, generator=generator)
    teacher = noise_teacher(sdxl, recipe, Destinations(recipe, "any", 0, [clean], None), 0)()
    part = sentences_of(recipe.searched, tokenize, TEMPLATES)
    asked, answers = [], []
    hooks = [
        sdxl.unet.register_forward_pre_hook(lambda module, arguments: asked.append(arguments[:2])),
        sdxl.unet.register_forward_hook(lambda module, arguments, answer: answers.append(answer.sample.detach())),
    ]
    try:
        begun = torch.stack([teacher(part, source, meant, turn) for turn in range(turns)])
        found = teacher(part, edited, meant, 3)
    finally:
        for hook in hooks:
            hook.remove()
    assert torch.allclose(begun, torch.ones(turns, each), atol=1e-4)
    meant_says, source_says = answers[: 2 * turns : 2], answers[1 : 2 * turns : 2]  # all turns once, at the first call
    noisy, times = asked[-1]
    kept = sdxl.scheduler.alphas_cumprod[times].view(-1, 1, 1, 1)
    noise = (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()
    right = {
        "epsilon": noise, "sample": clean.expand_as(noise), "v_prediction": kept.sqrt() * noise - (1 - kept).sqrt() * clean,
    }[kind]  # fmt: skip

    def apart(one, other):
        return (one - other).square().sum((1, 2, 3))

    scale = torch.stack([apart(one, other) for one, other in zip(source_says, meant_says, strict=True)]).mean()
    expected = 1 + (apart(answers[-1], right) - apart(source_says[3], right)) / scale
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3)
    if kind == "v_prediction":
        assert torch.allclose(right, sdxl.scheduler.get_velocity(clean.expand_as(noise), noise, times), atol=1e-4)


@pytest.mark.parametrize("mode", ["attention", "full"])
def test_both_of_sdxls_encoders_are_taught(sdxl, mode):
    def edit(mode):
        recipe = ConceptRecipe((Concept("rose", "tulip"),), templates=TEMPLATES, mode=mode)
        return edit_concepts(sdxl, recipe, ["a red cat", "a dog on a field"], ValueSettings(steps=5))

    taught, alone = edit(mode), edit("text")
    assert set(taught.changes) == {"clip_l", "clip_g"}
    for encoder, layers in taught.changes.items():
        for layer, (up, down) in layers.items():
            other = alone.changes[encoder][layer]
            assert not torch.allclose(up @ down, other[0] @ other[1], rtol=0.01)
