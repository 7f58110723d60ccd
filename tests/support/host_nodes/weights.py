"""Random weights."""

import torch


def randomise(module, seed):
    """The same draw for the same module, scaled so that activations stay finite."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in sorted(module.state_dict().items()):
            if not tensor.is_floating_point():
                continue
            if tensor.ndim >= 2:
                scale = 0.02 if "embedding" in name else tensor[0].numel() ** -0.5
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)
            elif tensor.ndim == 1:
                tensor.fill_(float(name.endswith("weight")))
    return module
