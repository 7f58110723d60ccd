"""Names of files as people write them in a save node."""

from datetime import datetime

import pytest
from edit_assumption.editing import file_names
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.file_names import tidy_name, with_marks_read


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("edits/rose", "edits/rose"),
        ("rose", "edits/rose"),
        ("a/b", "edits/a/b"),
        ("edits/a/b", "edits/a/b"),
        ("a\\b", "edits/a/b"),
        (" blue roses ", "edits/blue roses"),
        ("./rose", "edits/rose"),
        ("rose.safetensors", "edits/rose"),
        ("rose .safetensors", "edits/rose"),
        ("rose.safetensors.safetensors", "edits/rose"),
        ("rose.safetensors .safetensors", "edits/rose"),
        ("v1.5 rose", "edits/v1.5 rose"),
        ("X", "edits/X"),
        ("X/a", "edits/X/a"),
        ("玫瑰", "edits/玫瑰"),
    ],
)
def test_what_is_saved_lies_where_it_is_looked_for(written, name):
    assert tidy_name(written, "edits") == name


@pytest.mark.parametrize("written", ["", " ", ".", "edits", "edits/", "a/", "a/.", "...", ".safetensors", "a/.safetensors"])
def test_what_is_no_name_is_refused(written):
    with pytest.raises(EditError, match="names no file; write a name such as: edits/blue roses"):
        tidy_name(written, "edits")


@pytest.mark.parametrize("written", ["../x", "../../x", "edits/../../x", "/tmp/x", "C:/x", "c:/x", "..\\x"])
def test_no_name_leads_out_of_the_output_folder(written):
    with pytest.raises(EditError, match="leads out of ComfyUI's output folder"):
        tidy_name(written, "edits")


def test_names_that_no_file_can_have_are_refused():
    assert tidy_name("x" * 200, "edits") == "edits/" + "x" * 200
    with pytest.raises(EditError, match=f"^“{'x' * 30}…” is too long .* at most 200 letters"):
        tidy_name("x" * 201, "edits")
    assert tidy_name("玫" * 66, "edits") == "edits/" + "玫" * 66
    with pytest.raises(EditError, match="too long for a file's name; write at most 200 letters, or 66 in Chinese"):
        tidy_name("玫" * 67, "edits")
    with pytest.raises(EditError, match=r"has '\\x00' in it"):
        tidy_name("a\0b", "edits")
    with pytest.raises(EditError, match=r"has '\?' in it"):
        tidy_name("what?", "edits")


def test_marks_are_those_of_the_hosts_own_save_nodes(monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls):
            return cls(2026, 3, 4, 5, 6, 7)

    monkeypatch.setattr(file_names, "datetime", Clock)
    prompt = {
        "3": {"class_type": "KSampler", "inputs": {"seed": 7, "model": ["1", 0], "sampler_name": "a/b"}},
        "9": {"class_type": "EditAssumption", "inputs": {"source": "roses"}},
        "10": {"class_type": "Bare"},
    }
    named = {"id": 9, "title": "Mine", "properties": {"Node name for S&R": "Edit"}}
    workflow = {"nodes": [named, {"id": 3}, {"id": 9, "title": "v1.5"}]}

    def read(written):
        return with_marks_read(written, prompt, workflow)

    assert read("%date:yyyy-MM-dd% %date:hhmmss% %date:yy-M-d%") == "2026-03-04 050607 26-3-4"
    assert read("x %KSampler.seed% %Edit.source% %Mine.source%") == "x 7 roses roses"
    assert read("%KSampler.sampler_name%") == "a_b"
    assert read("%width% %KSampler.model% %Gone.seed% 50 %") == "%width% %KSampler.model% %Gone.seed% 50 %"
    assert read("%Bare.seed% %v1.5.source%") == "%Bare.seed% %v1.5.source%"
    assert with_marks_read("%KSampler.seed%", None, None) == "%KSampler.seed%"
