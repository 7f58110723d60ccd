"""The command that trains the pocket model: ``python -m edit_assumption.pocket.train --help``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .model import WEIGHTS
from .training import fast_allocator


def main() -> None:
    """Parse the command line and train what is not trained yet."""
    fast_allocator()
    parser = argparse.ArgumentParser(prog="python -m edit_assumption.pocket.train", description="Trains the pocket model.")
    parser.add_argument("--folder", type=Path, default=Path("pocket-training"), help="where checkpoints, logs and results go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--vae-steps", type=int, default=7000)
    parser.add_argument("--vae-batch", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=65536, help="that the diffusion model sees")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the finished model goes")
    options = parser.parse_args()

    from . import stages

    folder, seed, device = options.folder, options.seed, options.device
    vae = stages.train_vae(folder, options.vae_steps, options.vae_batch, seed, device)
    latents = stages.make_latents(vae, folder / "latents.pt", options.pictures, seed, device)
    scale = 1.0 / float(latents.float().std())
    modules = stages.train_model(folder, latents * scale, options.steps, options.batch, seed, device)
    stages.export(options.out, vae, scale, modules)


if __name__ == "__main__":
    main()
