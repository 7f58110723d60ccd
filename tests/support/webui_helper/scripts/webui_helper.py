"""An extension that only the tests load: errors in the middle of a generation, and a look at what hangs on the model."""

import hashlib

import torch
from modules import script_callbacks, scripts, shared

FAILS, FAILS_EARLY = "FAIL NOW", "FAIL WHILE ENCODING"


def diffusion_model():
    forge = getattr(shared.sd_model, "forge_objects", None)
    return forge.unet.model.diffusion_model if forge else shared.sd_model.model.diffusion_model


def text_model():
    forge = getattr(shared.sd_model, "forge_objects", None)
    return forge.clip.cond_stage_model if forge else shared.sd_model.cond_stage_model


def digest_of(model, *parts):
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        if any(part in name for part in parts):
            digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def fail_at_the_second_call(module):
    calls = []

    def fail(*_):
        calls.append(1)
        if len(calls) == 2:
            handle.remove()
            raise RuntimeError("failed as told")

    handle = module.register_forward_pre_hook(fail)


class Helper(scripts.Script):
    def title(self):
        return "Test helper"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process_batch(self, p, *args, **kwargs):
        if FAILS_EARLY in p.prompt:
            norms = [module for name, module in text_model().named_modules() if name.endswith("final_layer_norm")]
            fail_at_the_second_call(norms[0])

    def process_before_every_sampling(self, p, *args, **kwargs):
        if FAILS in p.prompt:
            fail_at_the_second_call(diffusion_model())


def state(_, app):
    @app.get("/test-helper/state")
    def look():
        modules = dict(diffusion_model().named_modules())
        return {
            "hooks": sum(len(module._forward_pre_hooks) for name, module in modules.items() if ".attn2." in name),
            "weights": digest_of(diffusion_model(), ".attn2.to_"),
            "text_hooks": sum(len(module._forward_hooks) for module in text_model().modules()),
            "text_weights": digest_of(text_model(), ".mlp."),
        }


script_callbacks.on_app_started(state)
