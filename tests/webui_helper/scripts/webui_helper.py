"""An extension that only the tests load: an error in the middle of a generation, and a look at what hangs on the model."""

import hashlib

import torch
from modules import script_callbacks, scripts, shared

FAILS = "FAIL NOW"


def diffusion_model():
    forge = getattr(shared.sd_model, "forge_objects", None)
    return forge.unet.model.diffusion_model if forge else shared.sd_model.model.diffusion_model


class Helper(scripts.Script):
    def title(self):
        return "Test helper"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process_before_every_sampling(self, p, *args, **kwargs):
        if FAILS not in p.prompt:
            return
        calls = []

        def fail(*_):
            calls.append(1)
            if len(calls) == 2:
                handle.remove()
                raise RuntimeError("failed as told")

        handle = diffusion_model().register_forward_pre_hook(fail)


def state(_, app):
    @app.get("/test-helper/state")
    def look():
        modules = dict(diffusion_model().named_modules())
        digest = hashlib.sha256()
        for name, weight in sorted(diffusion_model().named_parameters()):
            if ".attn2.to_" in name:
                digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy())
        return {
            "hooks": sum(len(module._forward_pre_hooks) for name, module in modules.items() if ".attn2." in name),
            "weights": digest.hexdigest(),
        }


script_callbacks.on_app_started(state)
