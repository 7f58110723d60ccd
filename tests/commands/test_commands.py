"""The command line as a user has it: a recipe to files, a copy of a checkpoint, what is in a file, pictures."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch

pytest.importorskip("diffusers")

import tiny_families
from clip_helpers import POSITIONS
from edit_assumption.cli import main
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import Edit
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.editing.edit_file import load_edit, save_edit
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.pipelines.cache_folder import VARIABLE
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from servers import REPOSITORY

LINE = "a pack of roses -> a pack of blue roses"
CROSS = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2."


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """No test reads or leaves files in the user's own cache, or asks the hub."""
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def random(*shape, seed=0, dtype=torch.float16):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def write_checkpoint(path, dtype=torch.float16, rows=320, more=None, metadata=None):
    tensors = {f"{CROSS}to_{kind}.weight": (random(rows, 768, seed=seed) * 0.03).to(dtype) for seed, kind in enumerate("kv")}
    tensors |= {
        f"{CROSS}to_q.weight": random(rows, 320),
        "first_stage_model.decoder.conv.weight": random(64, 64, dtype=torch.float32),
    }
    save_file({**tensors, **(more or {})}, path, metadata)
    return path


def edit_of(rank=5):
    recipe = Recipe((PromptPair("a pack of roses", "a pack of blue roses"),))
    left, right = 0.02 * random(768, rank, dtype=torch.float32), 0.02 * random(rank, 768, seed=1, dtype=torch.float32)
    return Edit(
        recipe, ContextMap(left, right), EncoderIdentity("a pack of roses", random(16, 768, dtype=torch.float32)), 4, 2, 0.1
    )


@pytest.fixture
def edit_file(tmp_path):
    save_edit(edit_of(), tmp_path / "roses.safetensors")
    return tmp_path / "roses.safetensors"


def said(capsys):
    return capsys.readouterr().out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_a_copy_of_a_checkpoint_has_the_edit_and_all_else_to_the_bit(dtype, edit_file, tmp_path, capsys):
    model = write_checkpoint(tmp_path / "model.safetensors", dtype, metadata={"modelspec.title": "Mine"})
    before, raw = load_file(model), model.read_bytes()
    code = main(
        ["apply", str(edit_file), "--model", str(model), "--out", str(tmp_path / "out.safetensors"), "--strength", "0.5"]
    )
    assert code == 0 and "2 of 4 weights changed" in said(capsys) and model.read_bytes() == raw
    after, edit = load_file(tmp_path / "out.safetensors"), load_edit(edit_file).scale(0.5)
    assert {name: tensor.dtype for name, tensor in after.items()} == {name: tensor.dtype for name, tensor in before.items()}
    for name, tensor in before.items():
        wanted = edit.context_map.apply_to_weight(tensor.float()).to(dtype) if name.startswith(f"{CROSS}to_k") else tensor
        if name.startswith((f"{CROSS}to_k", f"{CROSS}to_v")):
            wanted = edit.context_map.apply_to_weight(tensor.float()).to(dtype)
            assert not torch.equal(wanted.float(), tensor.float())
        assert torch.equal(after[name].float(), wanted.float())
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert file.metadata() == {"modelspec.title": "Mine", "edit_assumption.recipe": f"{LINE} @ 0.5"}
    assert (
        main(
            ["apply", str(edit_file), "--model", str(tmp_path / "out.safetensors"), "--out", str(tmp_path / "two.safetensors")]
        )
        == 0
    )
    with safe_open(tmp_path / "two.safetensors", "pt") as file:
        assert file.metadata()["edit_assumption.recipe"] == f"{LINE} @ 0.5\n{LINE}"


PEAK = """
import re, sys
from edit_assumption.cli import main
import torch, edit_assumption.commands.model_files
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024
before = peak()
code = main(sys.argv[1:])
print("peak", peak() - before)
sys.exit(code)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process's own peak of memory")
def test_memory_does_not_grow_with_the_checkpoint(edit_file, tmp_path):
    peaks = []
    for count in (2, 40):
        more = {f"model.diffusion_model.other.{number}": random(2**22, seed=number) for number in range(count)}  # 8 MB each
        model = write_checkpoint(tmp_path / f"{count}.safetensors", more=more)
        command = [
            sys.executable,
            "-c",
            PEAK,
            "apply",
            str(edit_file),
            "--model",
            str(model),
            "--out",
            str(tmp_path / "o.safetensors"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.rpartition("peak")[2]))
    assert 0 <= peaks[1] < peaks[0] + 40 < 200  # MB; the larger file has 304 MB more


def test_a_killed_copy_leaves_the_checkpoint_and_no_half_of_one(edit_file, tmp_path):
    more = {f"model.diffusion_model.other.{number}": random(2**21, seed=number) for number in range(24)}
    model, out = write_checkpoint(tmp_path / "model.safetensors", more=more), tmp_path / "out.safetensors"
    raw = model.read_bytes()
    code = (
        "import sys; from edit_assumption.cli import main; import edit_assumption.commands.model_files; "
        "print('ready', flush=True); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "apply", str(edit_file), "--model", str(model), "--out", str(out)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    whole, killed = out.read_bytes(), 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    begin = time.perf_counter()
    process.wait()
    takes = time.perf_counter() - begin
    for moment in range(20):
        out.unlink(missing_ok=True)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.readline()
        time.sleep(takes * moment / 20)
        process.kill()
        killed += process.wait() != 0
        assert model.read_bytes() == raw
        assert not out.exists() or out.read_bytes() == whole
    assert killed > 10


BAD = {
    "a VAE": lambda path: save_file({"decoder.conv_in.weight": random(4, 4), "encoder.conv_in.weight": random(4, 4)}, path),
    "a LoRA": lambda path: save_file({"lora_unet_down.lora_up.weight": random(4, 4)}, path),
    "a text encoder": lambda path: save_file({"text_model.encoder.layers.0.mlp.fc2.weight": random(4, 4)}, path),
    "an edit file": lambda path: save_edit(edit_of(), path),
    "a text file": lambda path: path.write_text("a pack of roses -> a pack of blue roses"),
    "an empty file": lambda path: path.write_text(""),
    "a pickled checkpoint": lambda path: torch.save({"a": random(4)}, path),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_wrong_checkpoint_is_named_for_what_it_is(kind, edit_file, tmp_path, capsys):
    BAD[kind](tmp_path / "bad.safetensors")
    out = tmp_path / "out.safetensors"
    assert main(["apply", str(edit_file), "--model", str(tmp_path / "bad.safetensors"), "--out", str(out)]) == 2
    told = capsys.readouterr().err.strip()
    assert kind in told and "bad.safetensors" in told and "Traceback" not in told and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["edit", "--out", "x.safetensors"], "There is no recipe"),
        (["edit", LINE], "Nothing is to be written"),
        (["edit", LINE, "--out", "x.png"], "ends in .safetensors"),
        (["edit", LINE, "--out", "x.safetensors", "--lora", "./x.safetensors"], "name one file"),
        (["edit", LINE, "--out", "x.safetensors", "--strength", "3"], "strength"),
        (["edit", LINE, "--checkpoint-out", "x.safetensors"], "needs a checkpoint file"),
        (["edit", LINE, "--out", "x.safetensors", "--model", "nowhere.safetensors"], "nowhere.safetensors"),
        (["edit", "no arrow " * 40, "--out", "x.safetensors"], "there is no “->”"),
        (["edit", "no arrow", "--out", "x.safetensors"], "there is no “->”"),
        (["apply", "nowhere.safetensors", "--model", "m.safetensors", "--out", "x.safetensors"], "nowhere"),
        (["info", "nowhere.safetensors"], "is not there"),
        (["preview", LINE, "--edit", "x.safetensors"], "give one of them"),
        (["generate", "--prompt", "a rose"], "Give a recipe"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert sentence in told.err and "Traceback" not in told.err and not told.out and not list(tmp_path.iterdir())


def test_the_checkpoint_itself_is_never_written_to(edit_file, tmp_path, capsys):
    model = write_checkpoint(tmp_path / "model.safetensors")
    raw = model.read_bytes()
    assert main(["apply", str(edit_file), "--model", str(model), "--out", str(model)]) == 2
    assert "the checkpoint itself" in capsys.readouterr().err and model.read_bytes() == raw


def test_a_recipe_to_edit_file_and_lora_on_the_bundled_model(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.txt").write_text(f"# colours\n{LINE}\n= a tulip\n")
    assert (
        main(["edit", "recipe.txt", "--out", "e.safetensors", "--lora", "l.safetensors", "--precision", "float16", "--json"])
        == 0
    )
    facts = json.loads(said(capsys))
    assert facts["files"] == {"edit": "e.safetensors", "LoRA": "l.safetensors"} and "keys changed by" in facts["report"]
    assert load_edit(tmp_path / "e.safetensors").recipe.preserve == ("a tulip",)
    assert {tensor.dtype for tensor in load_file("l.safetensors").values()} == {torch.float16, torch.float32}
    for name, kind in (("e", "an edit file"), ("l", "a LoRA")):
        assert main(["info", f"{name}.safetensors", "--json"]) == 0
        facts = json.loads(said(capsys))
        assert facts["kind"] == kind and LINE in facts["recipe"]


def ldm_names(text):
    return {
        f"cond_stage_model.transformer.{name if 'text_model' in name else f'text_model.{name}'}": weight
        for name, weight in text.items()
    }


def test_a_checkpoints_own_text_encoder_makes_the_edit_that_its_folder_makes(tmp_path, capsys):
    pipe = tiny_families.sd1()
    pipe.save_pretrained(tmp_path / "folder")
    model = write_checkpoint(tmp_path / "model.safetensors", more=ldm_names(pipe.text_encoder.state_dict()))
    told = ["--regularizer", "identity", "--preserve", "a cat"]
    for name, where in (
        ("one", ["--model", str(model), "--config", str(tmp_path / "folder")]),
        ("two", ["--model", str(tmp_path / "folder")]),
    ):
        more = ["--checkpoint-out", str(tmp_path / "copy.safetensors")] if name == "one" else []
        assert main(["edit", LINE, *told, *where, "--out", str(tmp_path / f"{name}.safetensors"), *more]) == 0
    one, two = (load_edit(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert one.recipe == two.recipe and pipe.text_encoder.config.max_position_embeddings == POSITIONS
    assert torch.allclose(one.context_map.left @ one.context_map.right, two.context_map.left @ two.context_map.right, atol=1e-4)
    key = f"{CROSS}to_v.weight"
    wanted = one.context_map.apply_to_weight(load_file(model)[key].float()).half()
    assert torch.equal(load_file(tmp_path / "copy.safetensors")[key], wanted)
    assert main(["info", str(tmp_path / "copy.safetensors")]) == 0
    assert "SD 1.x" in (text := said(capsys)) and LINE in text


def test_concepts_go_into_a_checkpoints_text_encoder(tmp_path, capsys):
    pipe = tiny_families.sd1()
    pipe.save_pretrained(tmp_path / "folder")
    model = write_checkpoint(tmp_path / "model.safetensors", more=ldm_names(pipe.text_encoder.state_dict()))
    arguments = ["edit", "! mode: text\n! layers: 1\nrose -> cat", "--model", str(model), "--config", str(tmp_path / "folder")]
    assert (
        main([*arguments, "--out", str(tmp_path / "e.safetensors"), "--checkpoint-out", str(tmp_path / "c.safetensors")]) == 0
    )
    (layers,) = load_edit(tmp_path / "e.safetensors").changes.values()
    before, after = load_file(model), load_file(tmp_path / "c.safetensors")
    (changed,) = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed.endswith("encoder.layers.1.mlp.fc2.weight")
    up, down = layers[1]
    assert torch.allclose(after[changed].float(), before[changed].float() + up @ down, atol=1e-4)


def test_preview_in_words_and_as_a_picture(tmp_path, capsys):
    told = ["--related", "a rose at night", "--unrelated", "a house"]
    assert main(["preview", LINE, *told, "--out", str(tmp_path / "p.png")]) == 0
    text = said(capsys)
    assert "related: a rose at night: words move by" in text and Image.open(tmp_path / "p.png").width > 300
    assert main(["preview", LINE, *told, "--json"]) == 0
    facts = json.loads(said(capsys))
    assert facts["related"]["a rose at night"] > 3 * facts["unrelated"]["a house"] and facts["leaking"] == []


def test_pictures_before_and_after(tmp_path, capsys):
    arguments = [
        "generate",
        LINE,
        "--prompt",
        "a pack of roses",
        "--seed",
        "1",
        "2",
        "--steps",
        "2",
        "--out",
        str(tmp_path / "g.png"),
    ]
    assert main(arguments) == 0 and "picture: " in said(capsys)
    assert Image.open(tmp_path / "g.png").width > 300


@pytest.mark.parametrize("name", ["edit_list.json", "edit_concepts.json"])
def test_info_reads_a_workflow(name, capsys):
    assert main(["info", str(REPOSITORY / "workflows" / name)]) == 0
    assert " -> " in said(capsys)


def test_info_reads_a_picture_that_comfyui_saved(tmp_path, capsys):
    from PIL.PngImagePlugin import PngInfo

    entry = PngInfo()
    entry.add_text(
        "prompt", json.dumps({"1": {"class_type": "EditAssumption", "inputs": {"source": "a cat", "clip": ["2", 0]}}})
    )
    Image.new("RGB", (4, 4)).save(tmp_path / "p.png", pnginfo=entry)
    assert main(["info", str(tmp_path / "p.png"), "--json"]) == 0
    assert json.loads(said(capsys))["nodes"] == ["EditAssumption: “a cat”"]


COMMANDS = (
    "demo", "evaluate", "concepts", "iceb", "edit", "apply", "preview", "info", "generate", "measure", "pocket", "bench",
    "completion",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    text = " ".join(said(capsys).split())
    assert ended.value.code == 0 and f"edit-assumption {command}" in text.partition("example: ")[2]


def test_measurements_are_subcommands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["measure", "accuracy", "--help"])
    assert ended.value.code == 0 and said(capsys).startswith("usage: edit-assumption measure accuracy")


def test_bash_completes_commands_and_options(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    script = said(capsys) + (
        '\nCOMP_WORDS=(edit-assumption ap); COMP_CWORD=1; _edit_assumption; echo "${COMPREPLY[@]}"'
        '\nCOMP_WORDS=(edit-assumption apply --st); COMP_CWORD=2; _edit_assumption; echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.stdout.split() == ["apply", "--strength"] and not done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete_every_command(shell, capsys):
    assert main(["completion", shell]) == 0
    text = said(capsys)
    assert all(name in text for name in ("demo", "edit", "apply", "preview", "info", "generate", "measure", "bench"))
