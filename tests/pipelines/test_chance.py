"""Edits by chance on diffusers pipelines: every picture is that of the variant that it has drawn."""

import warnings

import pytest
import torch

pytest.importorskip("diffusers")

import edit_assumption as ea
import tiny_families
import tiny_models
from diffusers import PixArtAlphaPipeline, StableDiffusionImg2ImgPipeline
from edit_assumption.editing.errors import EditError
from edit_assumption.pipelines.cache_folder import VARIABLE

SOURCE, BLUE, RED = "a pack of roses", "a pack of blue roses", "a pack of red tulips"
LINE = f"{SOURCE} -> {BLUE} | {RED}"
IDENTITY = {"regularizer": "identity"}
SEEDS = range(6)
NEAR = 5e-4


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "cache"))


def draw(pipe, seeds=SEEDS, **more):
    pipe.set_progress_bar_config(disable=True)
    count = len(seeds)
    more = {"prompt": [SOURCE] * count, "height": 16, "width": 16, **more}
    if isinstance(pipe, PixArtAlphaPipeline):
        side = 8 * pipe.vae_scale_factor
        more |= {"clean_caption": False, "use_resolution_binning": False, "height": side, "width": side}
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return pipe(generator=generators, num_inference_steps=2, output_type="latent", **more).images.float()


def apart(one, other):
    return float((one - other).abs().max())


def check_rows(pipe, **more):
    """What was drawn, after a look at each row."""
    written = {}
    for variant in (BLUE, RED):
        with ea.edited(pipe, f"{SOURCE} -> {variant}", **IDENTITY):
            written[variant] = draw(pipe, **more)
    with ea.edited(pipe, LINE, **IDENTITY) as edit:
        mixed = draw(pipe, **more)
        drawn = edit.drawn
    assert set(drawn) == {BLUE, RED}, "else nothing is shown here"
    for row, variant in enumerate(drawn):
        other = RED if variant == BLUE else BLUE
        gap = apart(written[other][row], written[variant][row])
        assert apart(mixed[row], written[variant][row]) < min(NEAR, 0.1 * gap)
    return drawn


FAMILIES = [pytest.param(build, id=name) for name, build in tiny_families.FAMILIES.items()]


@pytest.mark.parametrize("build", FAMILIES)
def test_each_picture_is_that_of_its_variant(build):
    pipe = build()
    plain = draw(pipe)
    check_rows(pipe)
    assert apart(draw(pipe), plain) == 0 and "prepare_latents" not in vars(pipe)


@pytest.fixture
def pipe():
    return tiny_models.new_pipeline()


def test_a_picture_alone_is_the_one_in_the_batch(pipe):
    with ea.edited(pipe, LINE, **IDENTITY) as edit:
        batch, drawn = draw(pipe), edit.drawn
        for seed in SEEDS:
            single = draw(pipe, [seed])
            assert edit.drawn == [drawn[seed]] and apart(single[0], batch[seed]) < NEAR


@pytest.mark.parametrize("more", [{"guidance_scale": 1.0}, {"num_images_per_prompt": 3, "prompt": [SOURCE, "a rose"]}])
def test_without_guidance_and_several_to_a_prompt(pipe, more):
    check_rows(pipe, **more)


def test_compiled(pipe):
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    check_rows(pipe)


def test_image_to_image(pipe):
    pipe = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    image = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    pipe.set_progress_bar_config(disable=True)

    def drawn_from(recipe):
        with ea.edited(pipe, recipe, **IDENTITY) as edit:
            generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
            more = dict(num_inference_steps=4, strength=0.8, output_type="latent")
            return pipe([SOURCE] * 6, image=image, generator=generators, **more).images, edit.drawn

    mixed, drawn = drawn_from(LINE)
    written = {variant: drawn_from(f"{SOURCE} -> {variant}")[0] for variant in (BLUE, RED)}
    assert set(drawn) == {BLUE, RED}
    assert all(apart(mixed[row], written[variant][row]) < NEAR for row, variant in enumerate(drawn))


def test_one_generator_for_many_calls_draws_anew_in_each(pipe):
    generator = torch.Generator().manual_seed(0)
    drawn = set()
    pipe.set_progress_bar_config(disable=True)
    with ea.edited(pipe, LINE, **IDENTITY) as edit:
        for _ in range(8):
            pipe(SOURCE, generator=generator, num_inference_steps=1, height=16, width=16, output_type="latent")
            drawn |= set(edit.drawn)
    assert drawn == {BLUE, RED}


def test_the_negative_prompt_is_left_alone_when_asked(pipe):
    negative = {"negative_prompt": [f"{SOURCE} in the rain"] * 6}
    with ea.edited(pipe, f"! negative: no\n{LINE}", **IDENTITY) as edit:
        positive, drawn = draw(pipe, **negative), edit.drawn
    with ea.edited(pipe, LINE, **IDENTITY) as edit:
        assert edit.drawn == [] and apart(draw(pipe, **negative), positive) > 1e-3
        assert edit.drawn == drawn
    with torch.no_grad():
        text, unwanted = pipe.encode_prompt([SOURCE] * 6, "cpu", 1, True, [f"{SOURCE} in the rain"] * 6)
    made = ea.edit_pipeline(pipe, LINE, **IDENTITY)
    chance, made_of = made.edit.chance, [variant.destination for variant in made.edit.recipe.chances[0].variants]
    made.remove()
    text = chance.apply(text, [(made_of.index(variant),) for variant in drawn])
    written = draw(pipe, prompt=None, prompt_embeds=text, negative_prompt_embeds=unwanted)
    assert apart(written, positive) < NEAR


def test_together_with_other_edits_and_switched(pipe):
    plain = draw(pipe)
    one = ea.edit_pipeline(pipe, LINE, **IDENTITY)
    alone = draw(pipe)
    two = ea.edit_pipeline(pipe, "a house -> a red house", **IDENTITY)
    both, drawn = draw(pipe), one.drawn
    assert two.drawn == drawn  # they are solved as one
    three = ea.edit_pipeline(pipe, "a cat -> a dog", projections="values", **IDENTITY)
    assert apart(draw(pipe), both) > 0
    three.remove()
    one.off()
    assert one.drawn == []
    one.on()
    two.remove()
    assert apart(draw(pipe), alone) < NEAR < apart(alone, plain)
    one.on(0.5)
    assert apart(draw(pipe), alone) > NEAR
    one.remove()
    assert apart(draw(pipe), plain) == 0


def test_files_and_what_holds_no_chance(pipe, tmp_path):
    made = ea.edit_pipeline(pipe, LINE, **IDENTITY)
    wanted = draw(pipe)
    made.save(tmp_path / "edit.safetensors")
    with pytest.raises(EditError, match="no weight, LoRA, hook or conditioning can hold it"):
        made.save_lora(tmp_path / "lora.safetensors")
    assert "every picture draws its variant" in made.report
    made.remove()
    ea.apply_edit(pipe, ea.load_edit(tmp_path / "edit.safetensors"))
    assert apart(draw(pipe), wanted) < NEAR


def test_a_model_that_is_called_by_itself_is_told(pipe):
    ea.edit_pipeline(pipe, LINE, **IDENTITY)
    with pytest.raises(EditError, match="call the pipeline as a whole"):
        pipe.unet(torch.zeros(1, 4, 8, 8), 5, encoder_hidden_states=torch.zeros(1, 77, pipe.unet.config.cross_attention_dim))
