"""Rows of Forge Neo's own text engines, over its own classes with random weights and few of them.

Run with the Python of a Forge Neo, in its folder; prints a line of JSON.
"""

import importlib
import json
import lzma
import shutil
import sys
import tempfile
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import SimpleNamespace

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "edit_assumption"
NAMES = sys.argv[1:]
sys.argv[1:] = ["--cpu", "--force-fp32"]
sys.path.insert(0, str(Path.cwd()))

from modules import initialize  # noqa: E402
from modules_forge.initialization import initialize_forge  # noqa: E402

initialize_forge()
initialize.imports()
spec = importlib.util.spec_from_file_location(NAME, REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)])
sys.modules[NAME] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[NAME])

import torch  # noqa: E402
from backend.nn.llm import llama  # noqa: E402
from backend.nn.t5 import IntegratedT5  # noqa: E402
from backend.operations import using_forge_operations  # noqa: E402
from backend.patcher.clip import CLIP  # noqa: E402
from backend.text_processing.anima_engine import AnimaTextProcessingEngine  # noqa: E402
from backend.text_processing.gemma_engine import GemmaTextProcessingEngine  # noqa: E402
from backend.text_processing.klein_engine import KleinTextProcessingEngine  # noqa: E402
from backend.text_processing.qwen3_engine import Qwen3TextProcessingEngine  # noqa: E402
from backend.text_processing.qwen_engine import QwenTextProcessingEngine  # noqa: E402
from backend.text_processing.t5_engine import T5TextProcessingEngine  # noqa: E402
from backend.text_processing.umt5_engine import UMT5TextProcessingEngine  # noqa: E402
from modules.prompt_parser import SdConditioning  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

host = importlib.import_module(f"{NAME}.extension.running_host").host()
RowInputs = importlib.import_module(f"{NAME}.extension.text_rows").RowInputs
make_edit = importlib.import_module(f"{NAME}.editing.assumptions.edit").make_edit
parse_recipe = importlib.import_module(f"{NAME}.editing.assumptions.recipe").parse_recipe

THIN = dict(hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
T5 = dict(
    d_ff=96, d_kv=16, d_model=64, num_layers=2, num_heads=4, vocab_size=32128, relative_attention_num_buckets=32,
    dense_act_fn="gelu_pytorch_tanh", is_gated_act=True, model_type="t5",
)  # fmt: skip
FOLDERS = Path("backend/huggingface")


def thin(kind, config, layers, **sizes):
    """One of the host's language models."""
    known = {field.name for field in fields(getattr(llama, config))}
    small = {name: size for name, size in {**THIN, **sizes}.items() if name in known}
    setattr(llama, config, partial(getattr(llama, config), **small, num_hidden_layers=layers))
    return getattr(llama, kind)({})


def engines():
    """Name to its encoder, its engine and where its tokenizer is."""
    klein, t5 = "black-forest-labs/FLUX.2-klein-4B/tokenizer", "black-forest-labs/FLUX.1-dev/tokenizer_2"
    yield "Flux2", lambda: thin("Qwen3_4B", "Qwen3_4BConfig", 28), KleinTextProcessingEngine, klein
    yield "ZImage", lambda: thin("Qwen3_8B", "Qwen3_8BConfig", 3), Qwen3TextProcessingEngine, klein
    yield (
        "QwenImage",
        lambda: thin("Qwen25_7BVLI", "Qwen25_7BVLI_Config", 2),
        QwenTextProcessingEngine,
        "Qwen/Qwen-Image/tokenizer",
    )
    yield "Chroma", lambda: IntegratedT5(T5), partial(T5TextProcessingEngine, min_length=1, min_padding=0), t5
    yield "Wan", lambda: IntegratedT5({**T5, "vocab_size": 256384, "model_type": "umt5"}), UMT5TextProcessingEngine, (
        "Wan-AI/Wan2.1-T2V-14B/tokenizer", "wan.tokenizer.json.xz"
    )  # fmt: skip
    yield "Lumina2", lambda: thin("Gemma2_2B", "Gemma2_2B_Config", 3), GemmaTextProcessingEngine, (
        "neta-art/Neta-Lumina/tokenizer", "neta.tokenizer.json.xz"
    )  # fmt: skip
    t5_tokenizer = AutoTokenizer.from_pretrained(FOLDERS / "circlestone-labs/Anima/tokenizer_2")

    def anima(text_encoder, tokenizer):
        return AnimaTextProcessingEngine(text_encoder, tokenizer, t5_tokenizer)

    yield "Anima", lambda: thin("Qwen3_06B", "Qwen3_06BConfig", 2, hidden_size=1024), anima, "circlestone-labs/Anima/tokenizer"


def tokenizer_in(place):
    """Some are packed: folder and file."""
    if isinstance(place, str):
        return AutoTokenizer.from_pretrained(FOLDERS / place)
    folder, packed = place
    with tempfile.TemporaryDirectory() as copied:
        shutil.copytree(FOLDERS / folder, copied, dirs_exist_ok=True)
        Path(copied, "tokenizer.json").write_bytes(lzma.decompress((FOLDERS / packed).read_bytes()))
        return AutoTokenizer.from_pretrained(copied)


@torch.no_grad()
def look(name, build, engine, folder):
    torch.manual_seed(0)
    with using_forge_operations(device=torch.device("cpu"), dtype=torch.float32):
        encoder = build()
    for weight in encoder.parameters():
        weight.copy_(torch.randn(weight.shape) * 0.2 if weight.ndim > 1 else torch.ones_like(weight))
    tokenizer = tokenizer_in(folder)
    clip = CLIP(model_dict={"text": encoder}, tokenizer_dict={"text": tokenizer})
    model = type(name, (), {})()
    model.text_processing_engine_text = engine(text_encoder=clip.cond_stage_model.text, tokenizer=tokenizer)
    model.forge_objects = SimpleNamespace(clip=clip)
    encode = host.row_encoder(model, lambda done, total: None)
    prompts = ["a field of roses", "", "roses"]
    said = encode(prompts)
    own = [model.text_processing_engine_text(SdConditioning([prompt]))[0].float() for prompt in prompts]
    short = encode.short and encode.short(prompts)
    edit = make_edit(parse_recipe("roses -> tulips", regularizer="identity", augmentations=("{}",)), encode)
    inputs = RowInputs.of(name, said[0].embeddings.shape[1])
    (context_map,) = inputs.maps(edit).values()
    source, destination = (entry.embeddings[entry.words[-1]] for entry in encode(["roses", "tulips"]))
    return {
        "words": ["".join(entry.tokens[place] for place in entry.words) for entry in said],
        "same": all(
            torch.equal(entry.embeddings, rows.reshape(entry.embeddings.shape)) for entry, rows in zip(said, own, strict=True)
        ),
        "short": short
        and [len(part.tokens) + part.padding == len(whole.tokens) for part, whole in zip(short, said, strict=True)],
        "away": float((context_map.apply(source) - destination).norm() / (source - destination).norm()),
        "report": inputs.report(edit),
    }


print("ROWS " + json.dumps({name: look(name, *rest) for name, *rest in engines() if name in (NAMES or [name])}))
