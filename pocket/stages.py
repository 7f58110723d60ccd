"""The stages of training: latents, autoencoder, diffusion model, judge."""

from __future__ import annotations

import copy
import math
import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch.nn import functional
from tqdm import tqdm
from transformers import CLIPTextModel

from ..editing.whole_file import whole_file
from .basis import Basis
from .captions import Sample, random_sample, random_words
from .dataset import draw, pictures, sample_number
from .judge import QUESTIONS, SceneClassifier, targets
from .model import GUIDANCE, LATENT_CHANNELS, STEPS, WIDTH, new_scheduler, new_text_model, new_unet, new_vae, save_text
from .scenes import Scene, any_scenes
from .tokenizer import token_ids, write_tokenizer
from .training import Run

_DROPPED = 0.1
"""Share of captions left empty, for classifier-free guidance."""
_PRACTICE_FROM = 14_750
"""Step of the diffusion model from which on captions are not taken in turn: what it was found weak in comes more often."""
_PRACTISED: dict[str, float] = {
    "cat": 8, "chef": 4, "knight": 4, "tulip": 4, "bird": 3, "daisy": 3, "doctor": 3, "painter": 3, "apple": 2.5, "poppy": 2.5,
    "chair": 2, "sailor": 2, "star": 2, "rabbit": 1.5, "snail": 1.5,
    "dotted": 8, "striped": 6, "plain": 5, "orange": 3, "black": 1.5, "pink": 1.5,
}  # fmt: skip
"""Things that it drew wrongly most often, patterns and colours that it missed most often where it was told them, and how many
times as often they come."""
_BASIS_PICTURES = 2000
_LATENT_NOISE = 0.1
"""Noise on the latents that the decoder learns from, in their own unit: what a diffusion model draws is never exact."""
_LOG_VARIANCE = -10.0
_REDRAWN = 3000
"""Pictures whose latents the diffusion model draws again for the decoder to learn from."""
_LAST_STEPS = 4
"""It draws the last few steps of a sampling, so that what is shown stays and only the details are its own."""
_JUDGED = 15000
_JUDGED_NOISE = 0.35
"""Largest noise on the latents of drawings that the judge sees through the autoencoder."""


def _edges(images: torch.Tensor) -> torch.Tensor:
    across, down = images[..., 1:] - images[..., :-1], images[..., 1:, :] - images[..., :-1, :]
    return torch.cat([across.flatten(1), down.flatten(1)], dim=1)


def _picture_loss(decoded: torch.Tensor, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a decoder is judged by, and the absolute error that is a part of it."""
    error = (decoded - images).abs().mean()
    return error + 2 * functional.mse_loss(decoded, images) + (_edges(decoded) - _edges(images)).abs().mean(), error


def _with_noise(latents: torch.Tensor, basis: Basis) -> torch.Tensor:
    return latents + _LATENT_NOISE / basis.scale * torch.randn_like(latents)


def make_basis(folder: Path, seed: int) -> Basis:
    """The latents' basis, from the first pictures; kept in the folder."""
    path = folder / "basis.safetensors"
    if not path.exists():
        Basis.of(pictures(f"basis {seed}", range(_BASIS_PICTURES))[0], LATENT_CHANNELS).save(path)
    return Basis.load(path)


def train_vae(folder: Path, basis: Basis, steps: int, batch: int, seed: int, device: str) -> AutoencoderKL:
    """The decoder from the basis' latents to pictures, the encoder to those latents.

    The decoder learns from absolute and squared error, and from those of the edges; it has all the finite world to know, so it
    ends sharper than the linear map back. The encoder learns the basis at every fourth step.
    """
    torch.manual_seed(seed)
    vae = new_vae().to(device, memory_format=torch.channels_last)
    run = Run(folder, "vae", {"vae": vae}, steps, rate=2e-3)

    def loss_of(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        images, _ = pictures(f"vae {seed}", range(step * batch, (step + 1) * batch))
        images = images.to(device, memory_format=torch.channels_last)
        latents = basis.latents(images)
        decoded = vae.decode(_with_noise(latents, basis).contiguous(memory_format=torch.channels_last)).sample
        loss, error = _picture_loss(decoded, images)
        if step % 4 == 0:
            guess = vae.encode(images).latent_dist
            loss = loss + (guess.mean - latents).abs().mean() * basis.scale + 0.01 * (guess.logvar - _LOG_VARIANCE).abs().mean()
        return loss, {"error": float(error.detach())}

    run.train(loss_of)
    return run.averaged["vae"]


@torch.no_grad()
def _redraw(
    folder: Path, text: CLIPTextModel, unet: UNet2DConditionModel, latents: torch.Tensor, seed: int, device: str
) -> torch.Tensor:
    """The first latents after the last steps of a sampling, which began from them with noise: what is shown stays."""
    tokenizer, scheduler = write_tokenizer(folder / "tokenizer"), new_scheduler()
    scheduler.set_timesteps(STEPS)
    chance, redrawn = random.Random(f"redrawn {seed}"), []
    for start in tqdm(range(0, min(_REDRAWN, len(latents)), 100), desc="latents drawn again", unit="batch", mininterval=5):
        clean = latents[start : start + 100].float().to(device)
        captions = [
            sample_number(f"model {seed}", number)[0].caption(random_words(chance))
            for number in range(start, start + len(clean))
        ]
        ids = torch.tensor(token_ids(tokenizer, [*captions, *[""] * len(clean)]), device=device)
        context = text(ids).last_hidden_state
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(start)).to(device)
        times = scheduler.timesteps[-_LAST_STEPS:]
        drawn = scheduler.add_noise(clean, noise, times[:1])
        for time in times:
            named, unnamed = unet(torch.cat([drawn, drawn]), time, context).sample.chunk(2)
            drawn = scheduler.step(unnamed + GUIDANCE * (named - unnamed), time, drawn).prev_sample
        redrawn.append(drawn.cpu())
    return torch.cat(redrawn)


def train_decoder(
    folder: Path, vae: AutoencoderKL, text: CLIPTextModel, unet: UNet2DConditionModel, latents: torch.Tensor, basis: Basis,
    steps: int, batch: int, seed: int, device: str,
) -> AutoencoderKL:  # fmt: skip
    """The decoder once more, half from latents whose details the diffusion model drew, which it learns to correct, half from
    drawings of anything in any way: small, dark and rare things are few among those it began with.
    """
    torch.manual_seed(seed)
    vae = copy.deepcopy(vae).train().requires_grad_(True).to(device, memory_format=torch.channels_last)
    redrawn = _redraw(folder, text.to(device), unet.to(device), latents, seed, device) / basis.scale
    run = Run(folder, "decoder", {"vae": vae}, steps, rate=5e-4, average=0.99)

    def loss_of(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        chance = random.Random(f"decoder {seed} {step}")
        numbers = chance.sample(range(len(redrawn)), batch // 2)
        fresh = draw(any_scenes(chance, batch - batch // 2), chance)
        noisy = _with_noise(basis.latents(fresh), basis)
        images = torch.cat([pictures(f"model {seed}", numbers)[0], fresh]).to(device, memory_format=torch.channels_last)
        given = torch.cat([redrawn[numbers], noisy]).to(device).contiguous(memory_format=torch.channels_last)
        loss, error = _picture_loss(vae.decode(given).sample, images)
        return loss, {"error": float(error.detach())}

    run.train(loss_of)
    return run.averaged["vae"]


def make_latents(basis: Basis, path: Path, count: int, seed: int) -> torch.Tensor:
    """Scaled latents of ``count`` pictures, (count, channels, 6, 6); kept in ``path``."""
    if not path.exists():
        parts = []
        for start in tqdm(range(0, count, 500), desc="latents", unit="batch", mininterval=5):
            images, _ = pictures(f"model {seed}", range(start, min(count, start + 500)))
            parts.append((basis.latents(images) * basis.scale).half())
        with whole_file(path) as file:
            torch.save(torch.cat(parts), file)
    return torch.load(path, weights_only=True)


def train_text(folder: Path, steps: int, batch: int, seed: int, device: str) -> CLIPTextModel:
    """The text encoder, from captions alone: at every token it says what the picture will show, as far as it has read.

    Stable Diffusion's encoder also comes from a training of its own (CLIP) and stays as it is while the diffusion model learns.
    """
    tokenizer = write_tokenizer(folder / "tokenizer")
    torch.manual_seed(seed)
    text = new_text_model().to(device)
    heads = torch.nn.ModuleDict({question: torch.nn.Linear(WIDTH, len(answers)) for question, answers in QUESTIONS.items()})
    run = Run(folder, "text", {"text": text, "heads": heads.to(device)}, steps, rate=2e-3, average=0.99)

    def loss_of(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        chance = random.Random(f"text {seed} {step}")
        samples = [random_sample(chance) for _ in range(batch)]
        ids = torch.tensor(token_ids(tokenizer, [sample.caption(random_words(chance)) for sample in samples]), device=device)
        hidden = text(ids).last_hidden_state
        losses = {}
        for question, right in targets([sample.scene for sample in samples]).items():
            everywhere = right.to(device)[:, None].expand(ids.shape)
            losses[question] = functional.cross_entropy(heads[question](hidden).flatten(0, 1), everywhere.flatten())
        return sum(losses.values()), {question: float(loss.detach()) for question, loss in losses.items()}

    run.train(loss_of)
    return run.averaged["text"]


def practice(sample: Sample) -> float:
    """How many times as often as others a sample comes towards the end of the diffusion model's training."""
    return math.prod(_PRACTISED.get(word, 1.0) for word in (sample.scene.thing, *sample.said.values()))


def train_unet(
    folder: Path, text: CLIPTextModel, latents: torch.Tensor, steps: int, batch: int, seed: int, device: str
) -> UNet2DConditionModel:
    """The UNet, on velocity; an epoch has its own order, a step its own wording of the captions.

    From a step on samples are drawn by :func:`practice`. That changes which captions come, not what their pictures show, so
    unqualified captions mean what they did.
    """
    tokenizer = write_tokenizer(folder / "tokenizer")
    torch.manual_seed(seed)
    unet = new_unet().to(device, memory_format=torch.channels_last)
    scheduler = new_scheduler()
    run = Run(folder, "unet", {"unet": unet}, steps, rate=1e-3, average=0.999)
    count = len(latents)
    samples: list[Sample] = [sample_number(f"model {seed}", number)[0] for number in range(count)]
    shares = torch.tensor([practice(sample) for sample in samples])
    epoch_length = count // batch
    orders: dict[int, torch.Tensor] = {}

    def numbers_of(step: int) -> torch.Tensor:
        if step >= _PRACTICE_FROM:
            return torch.multinomial(shares, batch, generator=torch.Generator().manual_seed(step))
        epoch, place = divmod(step, epoch_length)
        if epoch not in orders:
            orders.clear()
            orders[epoch] = torch.randperm(count, generator=torch.Generator().manual_seed(epoch))
        return orders[epoch][place * batch : (place + 1) * batch]

    def loss_of(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        numbers = numbers_of(step)
        chance = random.Random(step)
        captions = ["" if chance.random() < _DROPPED else samples[n].caption(random_words(chance)) for n in numbers.tolist()]
        with torch.no_grad():
            context = text(torch.tensor(token_ids(tokenizer, captions), device=device)).last_hidden_state
        clean = latents[numbers].to(device, torch.float32, memory_format=torch.channels_last)
        noise = torch.randn_like(clean)
        times = torch.randint(0, scheduler.config.num_train_timesteps, (len(clean),), device=device)
        noisy = scheduler.add_noise(clean, noise, times)
        wanted = scheduler.get_velocity(clean, noise, times)
        return functional.mse_loss(unet(noisy, times, context).sample, wanted), {}

    run.train(loss_of)
    return run.averaged["unet"]


@torch.no_grad()
def _seen_through(vae: AutoencoderKL, basis: Basis, seed: int, device: str) -> tuple[torch.Tensor, list[Scene]]:
    """Drawings as the autoencoder shows them, from latents with some noise, as a diffusion model's are never exact."""
    chance, shown, all_scenes = random.Random(f"judged {seed}"), [], []
    generator = torch.Generator().manual_seed(seed)
    for _ in tqdm(range(0, _JUDGED, 100), desc="drawings for the judge", unit="batch", mininterval=5):
        scenes = any_scenes(chance, 100)
        latents = basis.latents(draw(scenes, chance))
        noise = torch.randn(latents.shape, generator=generator) * torch.rand(100, 1, 1, 1, generator=generator)
        noisy = (latents + _JUDGED_NOISE / basis.scale * noise).to(device)
        shown.append(vae.decode(noisy).sample.clamp(-1, 1).cpu())
        all_scenes += scenes
    return torch.cat(shown), all_scenes


def train_judge(
    folder: Path, vae: AutoencoderKL, basis: Basis, steps: int, batch: int, seed: int, device: str
) -> SceneClassifier:
    """On fresh drawings of anything in any way, a little blurred or noisy, and, a half, on drawings that went through the
    autoencoder, as a diffusion model's pictures do.
    """
    torch.manual_seed(seed)
    judge = SceneClassifier().to(device)
    run = Run(folder, "judge", {"judge": judge}, steps, rate=2e-3, average=0.0)
    through, their_scenes = _seen_through(vae.to(device), basis, seed, device)

    def loss_of(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        chance = random.Random(f"judge {seed} {step}")
        scenes = any_scenes(chance, batch // 2)
        images = draw(scenes, chance)
        numbers = chance.sample(range(len(their_scenes)), batch - batch // 2)
        images = torch.cat([images, through[numbers]]).to(device)
        scenes = [*scenes, *(their_scenes[number] for number in numbers)]
        blurred = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
        images = torch.lerp(images, blurred, torch.rand(batch, 1, 1, 1, device=device))
        images = images + 0.1 * torch.rand(batch, 1, 1, 1, device=device) * torch.randn_like(images)
        losses = {
            question: functional.cross_entropy(logits, right.to(device))
            for (question, right), logits in zip(targets(scenes).items(), judge(images).values(), strict=True)
        }
        return sum(losses.values()), {question: float(loss.detach()) for question, loss in losses.items()}

    judge.train()
    run.train(loss_of)
    return judge.eval()


def export(folder: Path, vae: AutoencoderKL, scale: float, text: CLIPTextModel, unet: UNet2DConditionModel) -> None:
    """The trained model as an ordinary diffusers pipeline in half precision."""
    vae.register_to_config(scaling_factor=scale)
    parts = {"vae": vae, "text_encoder": text, "unet": unet}
    pipe = StableDiffusionPipeline(
        **{name: copy.deepcopy(part).to("cpu", torch.float16) for name, part in parts.items()},
        tokenizer=write_tokenizer(folder / "tokenizer"),
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    # CLIP's own files, which every version of transformers reads, in place of the newest version's.
    (folder / "tokenizer" / "tokenizer.json").unlink(missing_ok=True)
    write_tokenizer(folder / "tokenizer")
    save_text(folder, text)
