"""The command ``concepts``: what it writes, what it refuses, that it goes on after a stop, and that processes share it."""

import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from barriers import POSIX, full_disk, without_rights
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

pytest.importorskip("diffusers", reason="diffusers is not installed")

from diffusers import UNet2DConditionModel
from edit_assumption.cli import main
from edit_assumption.editing import whole_file
from edit_assumption.editing.concepts.concept_lines import Concept, parse_concepts
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe
from edit_assumption.editing.edit_file import load_edit
from edit_assumption.editing.errors import EditError
from edit_assumption.pipelines.command_inputs import Settings, concept_text, user_pictures
from edit_assumption.pipelines.destination_latents import destination_latents
from edit_assumption.pipelines.pipeline_concepts import edited_text
from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder
from edit_assumption.pocket.model import pipeline
from edit_assumption.pocket.words import ALL
from servers import SUPPORT

LINES = "rose -> tulip\ncat -> dog\nstar ->\napple ~ balloon"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def read(path):
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    return load_file(path), header


def same(one, other, tolerance=1e-5):
    """The products of two edits' factors are the same; the factors alone may turn."""
    one, other = load_edit(one), load_edit(other)
    assert one.recipe == other.recipe and one.changes.keys() == other.changes.keys()
    for name, layers in one.changes.items():
        assert layers.keys() == other.changes[name].keys()
        for layer, (up, down) in layers.items():
            ours, theirs = up @ down, other.changes[name][layer][0] @ other.changes[name][layer][1]
            assert float((ours - theirs).norm()) <= tolerance * float(theirs.norm())


def launch(count, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = "--multi_gpu --num_machines 1 --mixed_precision no --dynamo_backend no --num_processes"  # the first: many of them
    command = [sys.executable, "-m", "accelerate.commands.launch", *options.split(), str(count), "--main_process_port", port]
    command += map(str, arguments)
    answer = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=400)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer.stdout


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process's files, made through the command itself."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "lines.txt").write_text(LINES)
    files = ["--out", str(folder / "deep/edit.safetensors"), "--lora", str(folder / "lora.safetensors")]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes that it is compared with
    try:
        assert main(["concepts", "--lines", str(folder / "lines.txt"), "--cache", str(folder / "cache"), *files]) == 0
    finally:
        torch.set_num_threads(threads)
    return folder


def test_it_writes_an_edit_and_the_same_as_a_lora(alone, capsys):
    edit = load_edit(alone / "deep/edit.safetensors")
    assert edit.recipe.concepts == parse_concepts(LINES) and edit.recipe.templates[0] == "a {}"
    tensors, header = read(alone / "lora.safetensors")
    (layer, (up, down)), *rest = edit.changes["clip_l"].items()
    prefix = f"lora_te_text_model_encoder_layers_{layer}_mlp_fc2"
    assert not rest and torch.equal(tensors[f"{prefix}.lora_up.weight"], up)
    assert torch.equal(tensors[f"{prefix}.lora_down.weight"], down) and header["ss_network_module"] == "networks.lora"
    pipe = pipeline()
    texts = ["a rose", "a tulip", "a house"]
    before = [encoded.embeddings for encoded in PipelineEncoder(pipe)(texts)]
    with edited_text(pipe, edit):
        after = [encoded.embeddings for encoded in PipelineEncoder(pipe)(texts)]
    assert (after[0] - before[1]).norm() < 0.8 * (before[0] - before[1]).norm()
    assert (after[2] - before[2]).norm() < 0.2 * before[2].norm()


def test_what_was_found_is_not_searched_for_again(alone, tmp_path, capsys):
    values = sorted((alone / "cache/concepts/values").iterdir())
    assert len(values) == 4 and len(list((alone / "cache/concepts/statistics").iterdir())) == 1
    times = [path.stat().st_mtime_ns for path in values]
    out = tmp_path / "edit.safetensors"
    arguments = ["concepts", "--lines", "cat -> dog", "--lines", "bird -> bee", "--out", str(out), "--cache"]
    assert main([*arguments, str(alone / "cache")]) == 0
    assert [path.stat().st_mtime_ns for path in values] == times
    assert len(list((alone / "cache/concepts/values").iterdir())) == 5
    said = capsys.readouterr().out
    assert "cat → dog\nbird → bee" in said and str(out) in said


def test_the_diffusion_model_is_not_asked_where_every_value_is_known(alone, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("asked")

    monkeypatch.setattr(UNet2DConditionModel, "forward", refuse)
    arguments = ["concepts", "--lines", "cat -> dog", "--out", str(tmp_path / "edit.safetensors"), "--cache"]
    assert main([*arguments, str(alone / "cache")]) == 0
    with pytest.raises(AssertionError, match="asked"):
        main([*arguments, str(tmp_path / "empty")])


def test_two_processes_write_what_one_writes(alone, tmp_path):
    out = tmp_path / "edit.safetensors"
    said = launch(2, "-m", "edit_assumption.cli", "concepts", "--lines", LINES, "--cache", tmp_path / "cache", "--out", out)
    assert said.count("rose → tulip") == 1 and "searched by 2 processes" in said
    same(out, alone / "deep/edit.safetensors")
    assert len(list((tmp_path / "cache/concepts/values").iterdir())) == 4


def test_processes_tell_each_other_without_a_folder(tmp_path):
    script = SUPPORT / "shared_concepts.py"
    launch(2, script, tmp_path, LINES)
    subprocess.run([sys.executable, script, tmp_path, LINES], env=ENVIRONMENT, check=True, timeout=400)
    whole = tmp_path / "0-of-1"
    for number in range(2):
        same(tmp_path / f"{number}-of-2", whole)


def test_a_stop_keeps_what_was_found_and_the_command_goes_on(tmp_path):
    things = [name for name in ALL if name != "umbrella"][:33]  # so many that the stop comes before the end
    lines = "\n".join(f"{source} -> umbrella" for source in things)
    out, values = tmp_path / "edit.safetensors", tmp_path / "cache/concepts/values"
    command = [sys.executable, "-m", "edit_assumption.cli", "concepts", "--lines", lines, "--cache", str(tmp_path / "cache")]
    command += ["--out", str(out)]
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what a shell starts in the background ignores it
    run = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, preexec_fn=listening)
    while run.poll() is None and not list(values.glob("*.safetensors")):
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    assert "the same command goes on from there" in run.communicate(timeout=100)[1] and run.returncode == 130
    kept = {path: path.stat().st_mtime_ns for path in values.glob("*.safetensors")}
    assert 0 < len(kept) < len(things) and not out.exists()
    subprocess.run(command, env=ENVIRONMENT, check=True, timeout=400)
    assert len(load_edit(out).recipe.concepts) == len(things) == len(list(values.glob("*.safetensors")))
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def picture(path, colour, size=(60, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_the_users_pictures_are_cut_to_squares(tmp_path):
    image = Image.new("RGB", (60, 20), "black")
    image.paste("white", (20, 0, 40, 20))
    (tmp_path / "Rose").mkdir()
    image.save(tmp_path / "Rose/one.png")
    (tmp_path / "Rose/note.txt").write_text("no picture")
    found = user_pictures(tmp_path, parse_concepts(LINES), 8)
    assert list(found) == ["rose"] and found["rose"].shape == (1, 3, 8, 8) and (found["rose"] == 1).all()


@POSIX
def test_pictures_that_may_not_be_read_are_called_that(tmp_path):
    picture(tmp_path / "rose/one.png", "blue")
    for path in ("rose/one.png", "rose", "."):
        with without_rights(tmp_path / path), pytest.raises(EditError, match="permission denied"):
            user_pictures(tmp_path, parse_concepts(LINES), 8)


def test_the_full_mode_listens_to_the_users_pictures(tmp_path):
    picture(tmp_path / "pictures/rose/one.png", "blue")
    common = ["concepts", "--lines", "rose -> tulip", "--mode", "full", "--cache", str(tmp_path / "cache")]
    edits = [tmp_path / "drawn.safetensors", tmp_path / "given.safetensors"]
    assert main([*common, "--out", str(edits[0])]) == 0
    assert main([*common, "--out", str(edits[1]), "--pictures", str(tmp_path / "pictures")]) == 0
    drawn, given = (load_edit(path) for path in edits)
    assert drawn.recipe == given.recipe and drawn.recipe.mode == "full"
    ours, theirs = (edit.changes["clip_l"][0][0] @ edit.changes["clip_l"][0][1] for edit in (drawn, given))
    assert (ours - theirs).norm() > 1e-3 * ours.norm()


def test_a_concepts_pictures_do_not_depend_on_its_neighbours():
    pipe = pipeline()
    alone = destination_latents(pipe, ConceptRecipe(parse_concepts("cat -> dog")), {}, 0)
    beside = destination_latents(pipe, ConceptRecipe(parse_concepts("rose -> tulip\ncat -> dog")), {}, 0)
    other = destination_latents(pipe, ConceptRecipe(parse_concepts("cat -> dog")), {}, 1)
    assert alone.names[0] == beside.names[1] != other.names[0] and alone.seeds[0] == beside.seeds[1]
    assert torch.equal(alone[0], beside[1]) and not torch.equal(alone[0], other[0]) and alone[0].shape == (4, 32, 6, 6)


def test_lines_and_settings_come_from_files_and_texts(tmp_path):
    (tmp_path / "notepad.txt").write_bytes("# mine\r\nrose → tulip\r\n! mode: text\r\n".encode("utf-16"))
    text = concept_text([str(tmp_path / "notepad.txt"), "cat => dog", "apple ~ balloon\n! layers: 2", "! regularization: 2"])
    recipe = Settings((), ("a {}",), 0.5, (), "full").recipe_of_text(text)
    concepts = (Concept("rose", "tulip"), Concept("cat", "dog"), Concept("balloon", "apple"))
    assert recipe == ConceptRecipe(concepts, 2.0, ("a {}",), (2,), "text")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lines", "nowhere.txt"], "“nowhere.txt” cannot be read"),
        (["--lines", "~ rose"], "“~ rose” cannot be read"),
        (["--lines", "rose -> tulip -> bee"], "Line 1: write one “->”"),
        (["--lines", "rose - > tulip"], "Line 1: “- >” is nearly an arrow"),
        (["--lines", "latin.txt"], "“latin.txt” is not encoded in UTF-8"),
        (["--lines", "rose -> tulip", "--captions", "latin.txt"], "“latin.txt” is not encoded in UTF-8"),
        (["--lines", "rose -> tulip", "--captions", "lines.txt"], "Line 2 of “lines.txt”: “->” belongs to an edit"),
        (["--lines", "! mode: half", "--lines", "rose -> tulip"], "The mode “half” is not known"),
        (["--lines", "rose -> tulip", "--lines", "rose -> bee"], "another destination already"),
        (["--lines", "rose -> zeppelin"], "does not know the word “zeppelin”"),
        (["--lines", "rose -> tulip", "--captions", "empty.txt"], "“empty.txt” is empty"),
        (["--lines", "rose -> tulip", "--templates", "plain.txt"], "Every template needs {}"),
        (["--lines", "rose -> tulip", "--layers", "9"], "has the layers 0 to 3"),
        (["--lines", "rose -> tulip", "--regularization", "0"], "give a number greater than 0"),
        (["--lines", "rose -> tulip", "--pictures", "."], "add --mode full"),
        (["--lines", "rose -> tulip", "--mode", "full", "--pictures", "none"], "There is no folder “none”"),
        (["--lines", "rose -> tulip", "--mode", "full", "--pictures", "wrong"], "“wrong/bee” is of no concept"),
        (["--lines", "rose -> tulip", "--mode", "full", "--pictures", "blank"], "no picture in “blank/rose”"),
        (["--lines", "rose -> tulip", "--mode", "full", "--pictures", "broken"], "“broken/rose/one.png” cannot be read"),
        (["--lines", "rose -> tulip", "--model", "no/such/folder"], "“no/such/folder” cannot be loaded"),
        (["--lines", "rose -> tulip", "--model", "plain.txt"], "“plain.txt” cannot be loaded"),
    ],
)
def test_wrong_input_is_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Path("empty.txt").write_text("\n \n")
    Path("plain.txt").write_text("a thing\n")
    Path("latin.txt").write_text("rosé -> tulip\n", encoding="cp1252")
    Path("lines.txt").write_text("# lines\nrose -> tulip\n")
    picture(Path("wrong/bee/one.png"), "red")
    Path("blank/rose").mkdir(parents=True)
    Path("broken/rose").mkdir(parents=True)
    Path("broken/rose/one.png").write_text("no picture")
    capsys.readouterr()
    assert main(["concepts", "--cache", str(tmp_path / "cache"), *arguments]) == 2
    said = [line for line in capsys.readouterr().err.split("\n") if sentence in line]
    assert len(said) == 1 and not Path("edit.safetensors").exists()


def test_help_needs_nothing_heavy():
    code = (
        "import sys; from edit_assumption import cli; sys.exit(bool({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, capsys, caplog):
    (tmp_path / "file").write_text("")
    arguments = ["concepts", "--lines", "rose -> tulip", "--mode", "text", "--cache", str(tmp_path / "file"), "--out"]
    assert main([*arguments, str(tmp_path / "edit.safetensors")]) == 0
    assert "edit.safetensors" in capsys.readouterr().out and load_edit(tmp_path / "edit.safetensors")
    assert all("cannot be written to" in record.getMessage() for record in caplog.records) and len(caplog.records) == 2


@POSIX
def test_an_edit_that_cannot_be_written_in_the_end_is_kept_elsewhere(alone, tmp_path, monkeypatch, capsys):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(whole_file.tempfile, "tempdir", str(tmp_path / "temporary"))
    places = {name: full_disk(tmp_path / f"{name}.safetensors") for name in ("edit", "LoRA")}
    arguments = ["concepts", "--lines", "cat -> dog", "--out", str(places["edit"]), "--lora", str(places["LoRA"]), "--cache"]
    assert main([*arguments, str(alone / "cache")]) == 2
    said = capsys.readouterr().err
    assert "cat → dog" in said and said.count("the disk is full. The") == 2
    kept = {name: next((tmp_path / "temporary").glob(f"*/{name}.safetensors")) for name in places}
    assert load_edit(kept["edit"]).recipe.concepts == parse_concepts("cat -> dog") and len(load_file(kept["LoRA"])) == 3
    assert all(f"The {name} is in “{path}” instead." in said for name, path in kept.items())
