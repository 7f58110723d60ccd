"""CLIPs whose tokens hold more than the rows that they make."""

import comfy.sd
import comfy.supported_models_base
import torch
from comfy_api.latest import io

from .weights import randomise

try:
    import comfy.text_encoders.anima as anima
except ImportError:  # before 0.11
    anima = None
QWEN = dict(hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1)


class TestAnimaClip(io.ComfyNode):
    """Anima's: Qwen makes the rows, and T5's tokens go to the model beside them."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="TestAnimaClip", category="tests", inputs=[], outputs=[io.Clip.Output()])

    @classmethod
    def execute(cls):
        target = comfy.supported_models_base.ClipTarget(anima.AnimaTokenizer, anima.AnimaTEModel)
        clip = comfy.sd.CLIP(target, model_options={"qwen3_06b_model_config": QWEN, "dtype": torch.float32})
        randomise(clip.cond_stage_model, seed=2)
        return io.NodeOutput(clip)


class TestTextBeside(io.ComfyNode):
    """The conditioning, holding more of the prompt than its rows."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="TestTextBeside",
            category="tests",
            inputs=[io.Conditioning.Input("conditioning"), io.String.Input("name")],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning, name):
        return io.NodeOutput([[rows, {**details, name: torch.zeros(1, 4)}] for rows, details in conditioning])


class TestFlags(io.ComfyNode):
    """The CLIP, with a flag among its tokens, as Qwen-Image 2.1's tokenizer has one."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="TestFlags", category="tests", inputs=[io.Clip.Input("clip")], outputs=[io.Clip.Output()])

    @classmethod
    def execute(cls, clip):
        class Flagged(type(clip.tokenizer)):
            def tokenize_with_weights(self, *args, **kwargs):
                return {**super().tokenize_with_weights(*args, **kwargs), "keep_vision": False}

        class Reading(type(clip.cond_stage_model)):
            def encode_token_weights(self, tokens):
                assert tokens.pop("keep_vision") is False  # a host that asks for it must find it
                return super().encode_token_weights(tokens)

        target = comfy.supported_models_base.ClipTarget(Flagged, Reading)
        flagged = comfy.sd.CLIP(target, model_options={"dtype": torch.float32})
        flagged.cond_stage_model.load_state_dict(clip.cond_stage_model.state_dict(), strict=False)
        return io.NodeOutput(flagged)
