"""The command that trains the pocket model: ``edit-assumption pocket train --help``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from ..console import plain_output, run
from ..editing.whole_file import check_place
from . import WEIGHTS
from .training import fast_allocator, keep_logs

STAGES = ("vae", "text", "unet", "decoder", "judge", "names")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and train what is not trained yet."""
    fast_allocator()
    plain_output()
    parser = argparse.ArgumentParser(prog="edit-assumption pocket train", description="Trains the pocket model.")
    parser.add_argument("--folder", type=Path, default=Path("pocket-training"), help="where checkpoints, logs and results go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="all, in this order, unless said")
    parser.add_argument("--vae-steps", type=int, default=5000)
    parser.add_argument("--vae-batch", type=int, default=10)
    parser.add_argument("--text-steps", type=int, default=800)
    parser.add_argument("--text-batch", type=int, default=128)
    parser.add_argument("--pictures", type=int, default=40000, help="that the diffusion model learns from")
    parser.add_argument("--steps", type=int, default=30500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--decoder-steps", type=int, default=8000)
    parser.add_argument("--decoder-batch", type=int, default=10)
    parser.add_argument("--judge-steps", type=int, default=7000)
    parser.add_argument("--judge-batch", type=int, default=64)
    parser.add_argument("--names-steps", type=int, default=4000)
    parser.add_argument("--names-batch", type=int, default=24)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the finished model goes")
    options = parser.parse_args(arguments)
    return run(lambda: _trained(options))


def _trained(options: argparse.Namespace) -> str:
    check_place(options.folder / "basis.safetensors")
    check_place(options.out / "model_index.json")

    from . import stages
    from .judge import save_judge
    from .name_stage import train_names

    folder, seed, device, wanted = options.folder, options.seed, options.device, set(options.stages)
    vae = text = unet = basis = None
    if wanted - {"names"}:
        basis = stages.make_basis(folder, seed)
    if wanted & {"vae", "decoder", "judge"}:
        vae = stages.train_vae(folder, basis, options.vae_steps, options.vae_batch, seed, device)
    if wanted & {"text", "unet", "decoder"}:
        text = stages.train_text(folder, options.text_steps, options.text_batch, seed, device)
    if wanted & {"unet", "decoder"}:
        latents = stages.make_latents(basis, folder / "latents.pt", options.pictures, seed)
        unet = stages.train_unet(folder, text, latents, options.steps, options.batch, seed, device)
    if "decoder" in wanted:
        steps, batch = options.decoder_steps, options.decoder_batch
        vae = stages.train_decoder(folder, vae, text, unet, latents, basis, steps, batch, seed, device)
        stages.export(options.out, vae, basis.scale, text, unet)
    if "judge" in wanted:
        save_judge(stages.train_judge(folder, vae, basis, options.judge_steps, options.judge_batch, seed, device), options.out)
    if "names" in wanted:
        train_names(folder, options.out, options.names_steps, options.names_batch, seed, device)
    keep_logs(folder, options.out)
    return f"weights: {options.out}"
