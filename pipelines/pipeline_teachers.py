"""What a diffusers pipeline's diffusion model tells stage one, by a recipe's mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch

from ..editing.concepts.attention_teacher import AttentionTeacher, queries_of, read_by
from ..editing.concepts.concept_recipe import ConceptRecipe
from ..editing.concepts.destinations import Destinations
from ..editing.concepts.noise_teacher import NoiseTeacher
from ..editing.concepts.paired_encoders import each_beside
from ..editing.concepts.text_encoder import TextEncoder
from ..editing.concepts.values import Distill
from ..editing.errors import EditError
from .compiled import uncompiled
from .destination_latents import destination_latents
from .supported import execution_device
from .text_models import text_unet
from .weights_in_use import weights_digest

_PREDICTED = ("epsilon", "sample", "v_prediction")
"""What a UNet may predict of a noisy picture, by diffusers' names: the noise, the clean latents, or the velocity."""


def teachers(
    pipe: Any, recipe: ConceptRecipe, encoders: Sequence[TextEncoder], pictures: Mapping[str, torch.Tensor], seed: int
) -> tuple[Mapping[str, Distill] | None, str | Sequence[str]]:
    """For each encoder its teacher, None in the mode "text"; and a name that changes with the diffusion model and its pictures.

    Args:
        pipe: the pipeline.
        recipe: what is asked.
        encoders: the pipeline's.
        pictures: the user's, for the mode "full"; source to (n, 3, height, width) from -1 to 1.
        seed: of noise and of pictures that are drawn.

    Raises:
        EditError: the diffusion model cannot be asked in this mode.
    """
    if recipe.mode != "text":
        _check_model(pipe, recipe.mode)
    if recipe.mode == "attention":
        name = f"attention {seed} {weights_digest(pipe.unet)}"
        return each_beside(attention_teacher(pipe, recipe, seed), encoders, recipe), name
    if recipe.mode == "text":
        return None, ""
    drawn = destination_latents(pipe, recipe, pictures, seed)
    return each_beside(noise_teacher(pipe, recipe, drawn, seed), encoders, recipe), drawn.names


def _check_model(pipe: Any, mode: str) -> None:
    config, vae = text_unet(pipe).config, getattr(pipe, "vae", None)
    if config.encoder_hid_dim_type is not None:
        raise EditError(
            f"The mode “{mode}” asks the UNet about text alone; unload the IP-Adapter with pipe.unload_ip_adapter()."
        )
    if config.class_embed_type is not None or config.num_class_embeds is not None:
        raise EditError(f"This UNet has to be told more than text, so the mode “{mode}” cannot ask it; choose the mode “text”.")
    if mode != "full":
        return
    if not hasattr(pipe.scheduler, "alphas_cumprod"):
        raise EditError(
            f"The mode “full” needs a scheduler with a noise schedule, which {type(pipe.scheduler).__name__} has not; "
            "use another, such as DDIMScheduler, or choose the mode “attention”."
        )
    if _predicted(pipe) not in _PREDICTED:
        raise EditError(f"The mode “full” does not know models that predict {_predicted(pipe)}; choose the mode “attention”.")
    if vae is None or config.in_channels != vae.config.latent_channels:
        raise EditError("This UNet reads more than a picture's latents, or there is no VAE; choose the mode “attention”.")


def _predicted(pipe: Any) -> str:
    return str(pipe.scheduler.config.get("prediction_type", _PREDICTED[0]))


@torch.no_grad()
def _empty_prompt(pipe: Any, height: int, width: int) -> tuple[torch.Tensor, dict[str, Any]]:
    """What the pipeline's diffusion model is told by the empty prompt: (1, tokens, width), and what it is told beside it.

    Args:
        pipe: the pipeline.
        height, width: of its latents.
    """
    unet, device = pipe.unet, execution_device(pipe)
    text = pipe.encode_prompt(prompt="", device=device, num_images_per_prompt=1, do_classifier_free_guidance=False)
    more = {}
    if getattr(pipe, "text_encoder_2", None) is not None:  # SDXL is told the pooled text and the sizes, too
        pixels = [side * pipe.vae_scale_factor for side in (height, width)]
        sizes = torch.tensor([[*pixels, 0, 0, *pixels]], device=device, dtype=unet.dtype)
        more["added_cond_kwargs"] = {"text_embeds": text[2].to(unet.dtype), "time_ids": sizes}
    return text[0].to(unet.dtype), more


def attention_teacher(pipe: Any, recipe: ConceptRecipe, seed: int) -> Callable[[], AttentionTeacher]:
    """Makes teachers by the cross-attention layers of the pipeline's own diffusion model."""
    unet = text_unet(pipe)
    side, device = unet.config.sample_size, execution_device(pipe)
    noise = torch.randn(1, unet.config.in_channels, side, side, generator=torch.Generator().manual_seed(seed))
    point = pipe.scheduler.config.num_train_timesteps - 1

    @torch.no_grad()
    def run() -> None:
        text, more = _empty_prompt(pipe, side, side)
        with uncompiled(unet):  # compiled code calls no hook, by which the queries are found
            unet(noise.to(device, unet.dtype), point, text, **more)

    queries = cache(lambda: queries_of(unet, run, seed))  # not asked for where every value is known
    return lambda: AttentionTeacher(lambda contexts: read_by(queries(), contexts), len(recipe.templates))


def noise_teacher(pipe: Any, recipe: ConceptRecipe, drawn: Destinations, seed: int) -> Callable[[], NoiseTeacher]:
    """Makes noise teachers that ask the pipeline's own diffusion model, led by its cross-attention layers.

    SDXL's pooled text is the empty prompt's, so that the tokens have to say all that is meant.
    """
    unet, kept = pipe.unet, pipe.scheduler.alphas_cumprod
    last = len(kept) - 1
    lead = attention_teacher(pipe, recipe, seed)

    @cache
    def beside(height: int, width: int) -> dict[str, Any]:
        return _empty_prompt(pipe, height, width)[1]

    def predict(clean: torch.Tensor, noise: torch.Tensor, points: torch.Tensor, contexts: torch.Tensor) -> torch.Tensor:
        times = (points * last).long()
        share = kept.to(clean)[times].view(-1, *[1] * (clean.ndim - 1))
        noisy = share.sqrt() * clean + (1 - share).sqrt() * noise
        told = {
            name: {key: entry.expand(len(noisy), -1) for key, entry in entries.items()}
            for name, entries in beside(*noisy.shape[2:]).items()
        }
        predicted: torch.Tensor = unet(noisy.to(unet.dtype), times, contexts.to(unet.dtype), **told).sample
        return predicted.float()

    def truth(clean: torch.Tensor, noise: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        share = kept.to(clean)[(points * last).long()].view(-1, *[1] * (clean.ndim - 1))
        velocity = share.sqrt() * noise - (1 - share).sqrt() * clean
        kinds: dict[str, torch.Tensor] = {"epsilon": noise, "sample": clean, "v_prediction": velocity}
        return kinds[_predicted(pipe)]

    return lambda: NoiseTeacher(predict, drawn, len(recipe.templates), lead(), drawn.seeds, truth=truth, own=drawn.marked)
