"""What commands say can be printed on any terminal and into any file, and a failure to print loses nothing."""

import io
import os
import subprocess
import sys

import pytest

pytest.importorskip("diffusers", reason="diffusers is not installed")

from barriers import POSIX
from edit_assumption import cli, console
from edit_assumption.editing.errors import EditError
from edit_assumption.evaluation import pocket_accuracy, pocket_concepts, pocket_edits
from edit_assumption.pocket import curve, train

ENCODINGS = ("cp437", "cp850", "cp1252", "ascii", "utf-8")
MODULES = (pocket_edits, pocket_accuracy, pocket_concepts, curve, train)


def terminal(monkeypatch, encoding):
    """Both streams, as a redirected file of this encoding has them."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors) for errors in ("strict", "backslashreplace")]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    return streams


def said(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", ["", "demo", "evaluate", "concepts", "iceb"])
def test_help(monkeypatch, encoding, command):
    out, _ = terminal(monkeypatch, encoding)
    with pytest.raises(SystemExit) as ended:
        cli.main([*filter(None, [command]), "--help"])
    assert ended.value.code == 0 and said(out).startswith("usage: edit-assumption")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.split(".")[-1])
def test_help_of_modules(monkeypatch, encoding, module):
    out, _ = terminal(monkeypatch, encoding)
    monkeypatch.setattr(train, "fast_allocator", lambda: None)
    monkeypatch.setattr(sys, "argv", ["module", "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0 and said(out).startswith("usage: edit-assumption ")


REPORT = "“a rose” → ‘tulip’ × 3 – λ ≤ 0.5 … 薔薇 caf\udce9"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_reports_and_refusals(monkeypatch, encoding):
    out, err = terminal(monkeypatch, encoding)
    assert console.run(lambda: REPORT) == 0
    assert "rose" in said(out) and "\\udce9" in said(out)
    if encoding == "ascii":
        assert said(out).strip() == "\"a rose\" -> 'tulip' x 3 - lambda <= 0.5 ... \\u8594\\u8587 caf\\udce9"
    if encoding == "utf-8":
        assert said(out).startswith("“a rose” → ‘tulip’")

    def refuse():
        raise EditError("“rosé” → nothing")

    assert console.run(refuse) == 2 and "ros" in said(err) and "\\u201c" not in said(err)


def run(code, **options):
    environment = {**os.environ, "PYTHONIOENCODING": "cp437"}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True, **options)


PRINTING = "import sys; from edit_assumption.console import run; sys.exit(run(lambda: '“rose” →' * 100_000))"


@POSIX
def test_a_reader_that_is_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    process = run(PRINTING, stdout=writer)
    os.close(writer)
    assert process.communicate()[1] == "" and process.returncode == 0


@POSIX
def test_progress_and_remarks_on_a_full_disk_stop_no_work():
    code = "from edit_assumption.console import run; from tqdm import tqdm; run(lambda: str(sum(tqdm(range(9)))))"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stderr=full, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "36\n" and done.returncode == 0


@POSIX
def test_a_full_disk_is_named():
    with open("/dev/full", "w") as full:
        process = run(PRINTING, stdout=full)
        assert process.communicate()[1] == "All is done, but the report cannot be printed (No space left on device).\n"
    assert process.returncode == 2
