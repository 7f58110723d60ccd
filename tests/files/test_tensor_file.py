"""Files are read into memory, as the library reads them; what is damaged is refused; what changes on disk changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from barriers import POSIX, without_rights
from edit_assumption.editing import tensor_file
from edit_assumption.editing.edit_file import load_edit
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.tensor_file import load_tensors, open_tensors
from edit_assumption.pocket import WEIGHTS
from safetensors.torch import load_file, save_file
from servers import SUPPORT


def test_it_reads_what_the_library_reads(tmp_path):
    path = tmp_path / "a.safetensors"
    types = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool)
    tensors = {str(dtype): (torch.randn(3, 2) * 9).to(dtype) for dtype in types}
    tensors |= {"one": torch.tensor(1.5), "none": torch.zeros(0, 4).half(), "ü": torch.arange(5)}
    save_file(tensors, path, {"ü": "→"})
    for each, metadata in ((path, {"ü": "→"}), (WEIGHTS / "judge.safetensors", None)):
        ours, theirs = load_tensors(each), load_file(each)
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name]) and tensor.dtype == theirs[name].dtype
        with open_tensors(each) as file:
            assert metadata is None or file.metadata() == metadata
    with open_tensors(path) as file, pytest.raises(KeyError):
        file.get_tensor("absent")


def test_a_file_is_written_again_by_its_pieces(tmp_path, monkeypatch):
    """With other texts, in the order of its bytes, and without the gap between them."""
    monkeypatch.setattr(tensor_file, "_PIECE", 3000)
    path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    tensors = {"z": torch.randn(2, 1000), "b": torch.arange(5), "a": torch.ones(3)}
    entries = {"a": {"dtype": "F32", "shape": [3], "data_offsets": [8140, 8152]},
               "b": {"dtype": "I64", "shape": [5], "data_offsets": [8100, 8140]},
               "z": {"dtype": "F32", "shape": [2, 1000], "data_offsets": [0, 8000]}}  # fmt: skip
    text = json.dumps({"__metadata__": {"old": "text"}, **entries}).encode()
    numbers = [tensor.numpy().tobytes() for tensor in tensors.values()]
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers[0] + bytes(100) + numbers[1] + numbers[2])
    for length in range(8):
        with open_tensors(path) as file:
            assert list(file.shapes().items()) == [("z", (2, 1000)), ("b", (5,)), ("a", (3,))]
            begin, pieces = file.header({"ü": "→" * length}), [list(file.pieces(name)) for name in file.shapes()]
        assert len(begin) % 8 == 0 and [[len(piece) for piece in own] for own in pieces] == [[3000, 3000, 2000], [40], [12]]
        other.write_bytes(begin + b"".join(map(b"".join, pieces)))
        found = load_file(other)
        assert found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)
        with open_tensors(other) as file:
            assert file.metadata() == {"ü": "→" * length} and other.stat().st_size == len(begin) + 8052


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(10_000)}, path)
    with open_tensors(path) as file:
        os.truncate(path, 20_000)
        with pytest.raises(ValueError, match=r"^it ends within a$"):
            list(file.pieces("a"))
        with pytest.raises(ValueError, match=r"^it ends within a$"):
            file.get_tensor("a")


def header(**entries):
    text = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **entries}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"1234567", bytes(100), b"\xff" * 99, (2).to_bytes(8, "little") + b"[]", (2).to_bytes(8, "little") + b"{",
        header(dtype="F4"), header(dtype=[]), header(shape=[3]), header(shape=[-1, -2]), header(shape=[2.0]), header(shape="2"),
        header(shape=[0, 2**62, 2**62], data_offsets=[0, 0]), header(data_offsets=[0, 9]), header(data_offsets=[8, 16]),
        header(data_offsets=[8, 0]), header(data_offsets=[-8, 0]), header(data_offsets=[0]), header()[:-1],
        (100_000).to_bytes(8, "little") + b"[" * 100_000, (17).to_bytes(8, "little") + b'{"__metadata__":3}',
    ],
)  # fmt: skip
def test_what_is_damaged_is_refused(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError):
        load_tensors(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"1234567", "it has no header"), ((1).to_bytes(8, "little") + b"{}", "it has no header"),
        ((3).to_bytes(8, "little") + b"{}", "it has no header"), ((2).to_bytes(8, "little") + b"{", "it has no header"),
        ((2).to_bytes(8, "little") + b"[]", "its header is damaged"), (header()[:-1], "its header is damaged"),
        (header(shape=[3]), "its header is damaged"), (header(data_offsets=[8, 16]), "its header is damaged"),
        (header(shape=[0, 2**62, 2**62], data_offsets=[0, 0]), "the shape of a is impossible"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_said(tmp_path, content, said):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{said}$"), open_tensors(path) as file:
        assert "shape" in said and file.get_tensor("a")


def test_a_file_may_be_empty(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    assert load_tensors(path) == {}


@POSIX
def test_a_file_that_may_not_be_read_is_called_that(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(header())
    with without_rights(path), pytest.raises(EditError, match=r"The edit “a\.safetensors” cannot be read: permission denied"):
        load_edit(path)


def test_the_file_may_be_changed_cut_or_removed_afterwards(tmp_path):
    """In a process of its own, which a file that is still mapped would end."""
    run = subprocess.run([sys.executable, SUPPORT / "changed_files.py", tmp_path], capture_output=True, text=True)
    assert run.returncode == 0, (run.returncode, run.stderr[-2000:])


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are not listed here")
def test_nothing_stays_open_or_mapped(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(100_000)}, path)
    kept = load_tensors(path)
    assert str(path) not in [os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()]
    assert str(path) not in Path("/proc/self/maps").read_text() and kept["a"].sum() == 100_000
