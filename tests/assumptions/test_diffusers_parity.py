"""The published implementation of TIME, as diffusers ships it, beside ours and beside the float64 optimum."""

import contextlib
from dataclasses import dataclass

import clip_helpers
import pytest
import torch
from edit_assumption.editing.alignment import align
from edit_assumption.editing.assumptions import edit as editing
from edit_assumption.editing.assumptions.closed_form import EXACT
from edit_assumption.editing.assumptions.context_map import weight_change
from edit_assumption.editing.assumptions.prompt_pair import DEFAULT_AUGMENTATIONS, PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe

diffusers = pytest.importorskip("diffusers")
attention = pytest.importorskip("diffusers.models.attention_processor")
pipelines = pytest.importorskip(
    "diffusers.pipelines.deprecated.stable_diffusion_variants.pipeline_stable_diffusion_model_editing",
    reason="this diffusers has no published implementation of TIME any more",
)

SOURCE, DESTINATION = "A pack of roses", "A pack of blue roses"
LAMBDA = 0.1
NAMES = [
    f"{block}.attentions.0.transformer_blocks.0.attn2.to_{kind}.weight"
    for block in ("down_blocks.0", "mid_block")
    for kind in "kv"
]


@pytest.fixture(scope="module")
def text_model():
    return clip_helpers.clip_text_model(768, seed=1)


def random_unet():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return diffusers.UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            attention_head_dim=8,
            norm_num_groups=8,
            cross_attention_dim=768,
        )


def published(text_model, unet):
    """The published pipeline around our models."""
    return pipelines.StableDiffusionModelEditingPipeline(
        vae=diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4),
        text_encoder=text_model,
        tokenizer=clip_helpers.clip_tokenizer(),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@contextlib.contextmanager
def findable():
    """Gives cross-attention the class name that the published pipeline looks for."""
    name = attention.Attention.__name__
    attention.Attention.__name__ = "CrossAttention"
    yield
    attention.Attention.__name__ = name


@dataclass
class Run:
    before: dict
    after: dict


def weights_of(unet):
    return {name: weight.detach().clone() for name, weight in unet.state_dict().items()}


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def run(text_model):
    """The weights before and after the published edit."""
    with findable():
        pipeline = published(text_model, random_unet())
        before = weights_of(pipeline.unet)
        pipeline.edit_model(SOURCE, DESTINATION, lamb=LAMBDA)
        return Run(before, weights_of(pipeline.unet))


def time_answers(source, destination):
    """For 77 source positions the destination's, as the published rule has it, from token ids."""
    tokenizer = clip_helpers.clip_tokenizer()
    article = {tokenizer.convert_tokens_to_ids("an</w>"): tokenizer.convert_tokens_to_ids("a</w>")}
    wanted, offered = ([article.get(number, number) for number in tokenizer(text).input_ids] for text in (source, destination))
    answers = []
    for number in wanted:
        answers.append(offered.index(number, answers[-1] + 1 if answers else 0))
    return [*answers, *(min(answers[-1] + extra, 76) for extra in range(1, 78 - len(answers)))]


def tokens_of(text_model, source, destination):
    """The columns of the whole edit with its augmentations, float64: c and c*, a token a row."""
    sentences = [(source, destination)]
    sentences += [(f"{line} a{source[1:]}", f"{line} a{destination[1:]}") for line in DEFAULT_AUGMENTATIONS]
    encode = clip_helpers.ClipEncoder(text_model)
    before = [encode([old])[0].embeddings.double() for old, _ in sentences]
    after = [encode([new])[0].embeddings.double()[time_answers(old, new)] for old, new in sentences]
    return torch.cat(before), torch.cat(after)


def second_moment(tokens):
    return tokens.T @ tokens + LAMBDA * torch.eye(tokens.shape[1], dtype=torch.float64)


def optimum_of(weight, tokens, targets):
    """Equation 5 of the paper as it is printed, in float64."""
    weight = weight.double()
    return (LAMBDA * weight + weight @ targets.T @ tokens) @ torch.linalg.inv(second_moment(tokens))


def distances(weights, others):
    return {name: float((weights[name].double() - others[name]).norm() / others[name].norm()) for name in others}


def our_edit(text_model, augmentations=DEFAULT_AUGMENTATIONS):
    recipe = Recipe(
        (PromptPair(SOURCE, DESTINATION, augmentations=augmentations),), regularization=LAMBDA, regularizer="identity"
    )
    return editing.make_edit(recipe, clip_helpers.ClipEncoder(text_model), scaled=False, tolerance=EXACT)


def test_published_pipeline_edits_nothing_as_it_stands(text_model):
    unet = random_unet()
    before = weights_of(unet)
    pipeline = published(text_model, unet)
    pipeline.edit_model(SOURCE, DESTINATION, lamb=LAMBDA)
    assert pipeline.projection_matrices == []
    after = weights_of(unet)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_published_pipeline_changes_the_projections_and_nothing_else_once_it_finds_them(run):
    assert sorted(name for name in run.before if not torch.equal(run.before[name], run.after[name])) == sorted(NAMES)


def test_ours_is_nearer_to_the_optimum_for_every_projection(run, text_model):
    tokens, targets = tokens_of(text_model, SOURCE, DESTINATION)
    optimum = {name: optimum_of(run.before[name], tokens, targets) for name in NAMES}
    context_map = our_edit(text_model).context_map
    ours = {name: context_map.apply_to_weight(run.before[name]) for name in NAMES}

    our_distance, their_distance = distances(ours, optimum), distances(run.after, optimum)
    moved = distances(run.before, optimum)
    apart = distances(ours, {name: run.after[name].double() for name in NAMES})
    # An inverse in float32 loses up to (rounding error * condition number) of its size.
    float32 = torch.finfo(torch.float32).eps * float(torch.linalg.cond(second_moment(tokens)))
    assert float32 < 0.3
    for name in NAMES:
        assert moved[name] > 0.05
        assert our_distance[name] < 1e-6
        assert our_distance[name] < their_distance[name]
        assert apart[name] < float32


def test_both_agree_where_the_published_one_runs_in_float64():
    text_model = clip_helpers.clip_text_model(768, seed=1).double()
    unet = random_unet().double()
    before = weights_of(unet)
    with findable(), default_dtype(torch.float64):
        pipeline = published(text_model, unet)
        pipeline.with_augs = []
        pipeline.edit_model(SOURCE, DESTINATION, lamb=LAMBDA)
    theirs = weights_of(unet)
    context_map = our_edit(text_model, augmentations=()).context_map
    change = {name: theirs[name] - before[name] for name in NAMES}
    ours = {name: weight_change(before[name], context_map.left, context_map.right) for name in NAMES}
    assert max(distances(ours, change).values()) < 1e-6


PAIRS = [
    ("a pack of roses", "a pack of blue roses"),
    ("a doctor", "a female doctor"),
    ("an apple", "a green apple"),
    ("a house", "an orange house"),
    ("an apple", "an orange apple with an apple on a house"),
    ("roses", "a field of white roses in the photo"),
    ("a cat", "a cat"),
    ("a a cat", "a red a blue cat"),
    ("zebra", "a blue zebra with stripes"),
]


@pytest.mark.parametrize(("source", "destination"), PAIRS)
def test_alignment_is_the_published_one(source, destination, text_model):
    """The published pipeline hands rows of the new embeddings to each layer; they tell which it chose."""
    with findable():
        pipeline = published(text_model, random_unet())
    pipeline.projection_matrices = pipeline.projection_matrices[:1]
    pipeline.with_augs = []
    handed = []
    pipeline.projection_matrices[0].register_forward_pre_hook(lambda _, inputs: handed.append(inputs[0]))
    pipeline.edit_model(source, destination, restart_params=False)
    before, after = clip_helpers.ClipEncoder(text_model)([source, destination])
    chosen = torch.cdist(handed[0], after.embeddings).argmin(dim=1).tolist()
    assert align(before, after) == chosen == time_answers(source, destination)
