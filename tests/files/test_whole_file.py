"""Files appear whole or not at all, whoever writes beside them, with the permissions that others expect."""

import multiprocessing
import os
import signal
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from barriers import POSIX, full_disk, without_rights, write_protected
from edit_assumption.editing import whole_file
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.tensor_file import load_tensors
from edit_assumption.editing.whole_file import check_place, save_somewhere, save_whole, save_whole_text

TENSORS = {"a": torch.arange(1000.0), "b": torch.ones(3, 2, dtype=torch.float16).T}


@pytest.fixture
def umask():
    """Sets it for a test."""
    before = os.umask(0)
    os.umask(before)
    yield os.umask
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def beside(call, *arguments):
    """In a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=call, args=arguments)
    process.start()
    return process


@POSIX
def test_permissions_are_those_of_the_umask_and_stay_when_a_file_is_replaced(tmp_path, umask):
    umask(0o027)
    path = tmp_path / "a.safetensors"
    save_whole(TENSORS, path, {})
    assert mode(path) == 0o640
    path.chmod(0o604)
    save_whole(TENSORS, path, {})
    save_whole_text(tmp_path / "a.json", "{}")
    assert mode(path) == 0o604 and mode(tmp_path / "a.json") == 0o640


@POSIX
def test_a_links_target_is_written(tmp_path):
    target, link = tmp_path / "far/target.safetensors", tmp_path / "link.safetensors"
    link.symlink_to(target)
    for _ in range(2):
        save_whole(TENSORS, link, {})
        assert link.is_symlink() and load_tensors(target).keys() == TENSORS.keys()


@POSIX
def test_a_device_is_written_and_stays_one(tmp_path):
    link = full_disk(tmp_path / "full.safetensors")
    with pytest.raises(OSError, match="No space left"):
        save_whole(TENSORS, link, {})
    assert Path("/dev/full").is_char_device() and names_in(tmp_path) == ["full.safetensors"]


def test_folders_are_made_and_none_is_taken_for_a_file(tmp_path):
    save_whole_text(tmp_path / "new/deep/a.md", "ä\n")
    assert (tmp_path / "new/deep/a.md").read_bytes() == "ä\n".encode()
    for path, reason in (("new/deep", "it is a folder"), ("new/deep/a.md/b.md", "a file stands where a folder is needed")):
        with pytest.raises(OSError) as caught:
            save_whole_text(tmp_path / path, "")
        assert whole_file.why(caught.value) == reason
        with pytest.raises(EditError, match=f"cannot be written: {reason}; give another place"):
            check_place(tmp_path / path)
    assert names_in(tmp_path / "new/deep") == ["a.md"]


@POSIX
@pytest.mark.parametrize("there", [True, False], ids=["a file", "a folder"])
def test_what_is_protected_is_not_written(tmp_path, there):
    path = tmp_path / "folder/a.md"
    save_whole_text(path, "before")
    with write_protected(path if there else path.parent):
        place = path if there else path.with_name("b.md")
        with pytest.raises(EditError, match="permission denied"):
            check_place(place)
        with pytest.raises(PermissionError):
            save_whole_text(place, "after")
    assert path.read_text() == "before" and names_in(path.parent) == ["a.md"]


@pytest.mark.parametrize("there", [True, False])
def test_checking_a_place_leaves_no_trace(tmp_path, there):
    path = tmp_path / ("a.md" if there else "new/a.md")
    if there:
        path.write_text("before")
    check_place(path)
    assert names_in(tmp_path) == (["a.md"] if there else []) and (not there or path.read_text() == "before")


@POSIX
def test_names_that_no_disk_takes_are_named_before_the_work(tmp_path):
    with pytest.raises(EditError, match="its name is too long"):
        check_place(tmp_path / ("x" * 300))
    with without_rights(tmp_path), pytest.raises(EditError, match="permission denied"):
        check_place(tmp_path / "a.md")
    with pytest.raises(EditError, match="cannot be written"):
        check_place("/proc/nothing/a.md")


def test_a_stop_while_writing_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.md"
    save_whole_text(path, "before")
    with pytest.raises(KeyboardInterrupt), whole_file.whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "before" and names_in(tmp_path) == ["a.md"]


def test_windows_is_asked_again_while_somebody_has_the_file_open(tmp_path, monkeypatch):
    replace, refusals = os.replace, [PermissionError(13, "in use")] * 2

    def busy(source, target):
        if refusals:
            raise refusals.pop()
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(whole_file, "_WAITS", (0.0, 0.0))
    save_whole_text(tmp_path / "a.md", "after")
    assert names_in(tmp_path) == ["a.md"] and (tmp_path / "a.md").read_text() == "after"
    save_whole_text(tmp_path / "a.md", "at once")
    assert (tmp_path / "a.md").read_text() == "at once"
    refusals += [PermissionError(13, "in use")] * 3
    with pytest.raises(PermissionError):
        save_whole_text(tmp_path / "b.md", "after")
    assert names_in(tmp_path) == ["a.md"]


@POSIX
def test_what_killed_runs_left_is_no_edit_and_removed(tmp_path):

    def killed():
        with whole_file.whole_file(tmp_path / "a.safetensors") as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    beside(killed).join()
    (left,) = tmp_path.iterdir()
    assert left.suffix != ".safetensors" and left.read_bytes() == b"half"
    save_whole_text(tmp_path / "b.md", "")
    assert left.exists()  # somebody may be writing it
    os.utime(left, (time.time() - 90_000,) * 2)
    whole_file._clear_abandoned.cache_clear()
    save_whole_text(tmp_path / "b.md", "")
    assert names_in(tmp_path) == ["b.md"]


def test_threads_write_one_file(tmp_path):
    path = tmp_path / "a.safetensors"

    def save(number):
        save_whole({"a": torch.full((5000,), float(number))}, path, {"number": str(number)})
        return len(load_tensors(path)["a"].unique())

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(save, range(200))) == {1}
    assert names_in(tmp_path) == ["a.safetensors"]


@POSIX
def test_processes_write_one_file(tmp_path):
    path = tmp_path / "a.safetensors"

    def save(number):
        for _ in range(60):
            save_whole({"a": torch.full((5000,), float(number))}, path, {})

    runs = [beside(save, number) for number in range(2)]
    while any(run.is_alive() for run in runs):
        if path.exists():
            assert len(load_tensors(path)["a"].unique()) == 1
    assert [run.exitcode for run in runs] == [0, 0] and names_in(tmp_path) == ["a.safetensors"]


def test_what_cannot_be_written_in_the_end_goes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_file.tempfile, "tempdir", str(tmp_path))
    (tmp_path / "file").write_text("")
    place = tmp_path / "file/a.md"
    with pytest.raises(EditError, match=r"The report is in “.*a\.md” instead") as caught:
        save_somewhere(lambda path: save_whole_text(path, "found"), place, "The report", "3 of 4")
    sentence = str(caught.value)
    assert sentence.startswith(f"3 of 4\n“{place}” cannot be written: a file stands where a folder is needed.")
    assert Path(sentence.split("“")[-1].split("”")[0]).read_text() == "found"
    monkeypatch.setattr(whole_file.tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(EditError, match="temporary folder either"):
        save_somewhere(lambda path: save_whole_text(path, "found"), place, "The report")

    (temporary,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert temporary.name.startswith("edit-assumption-")
    monkeypatch.setattr(whole_file.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(EditError, match=r"^“"):  # without a report
        save_somewhere(lambda path: save_whole_text(path, "found"), place, "The report")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space"), "the disk is full"), (OSError(9999, "Something odd."), "Something odd"),
        (OSError("Odd."), "Odd"),
        (OSError(9999, ""), "[Errno 9999] "),
    ],
)  # fmt: skip
def test_reasons_are_in_plain_words(error, reason):
    assert whole_file.why(error) == reason


@pytest.mark.parametrize(("number", "refused"), [(22, False), (38, False), (28, True)])
def test_a_disk_that_cannot_be_asked_whether_it_is_full(tmp_path, monkeypatch, number, refused):
    def ask(_):
        raise OSError(number, "asked")

    monkeypatch.setattr(os, "fsync", ask)
    if refused:
        with pytest.raises(OSError, match="asked"):
            save_whole_text(tmp_path / "a.md", "text")
    else:
        save_whole_text(tmp_path / "a.md", "text")
    assert names_in(tmp_path) == ([] if refused else ["a.md"])


@POSIX
def test_an_owner_and_permissions_that_cannot_be_given_stop_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    path = tmp_path / "a.md"
    path.write_text("before")
    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    save_whole_text(path, "after")
    assert path.read_text() == "after"
    monkeypatch.delattr(os, "chown")  # as on Windows
    save_whole_text(path, "again")
    assert path.read_text() == "again" and names_in(tmp_path) == ["a.md"]


def test_a_header_takes_names_that_the_system_could_not_decode(tmp_path):
    save_whole(TENSORS, tmp_path / "a.safetensors", {"title": "caf\udce9"})
    save_whole_text(tmp_path / "a.md", "caf\udce9")
    assert (tmp_path / "a.md").read_text() == "caf\\udce9"
