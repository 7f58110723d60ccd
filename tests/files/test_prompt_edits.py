"""``<edit:name:0.8>`` in prompts."""

import pytest
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.prompt_edits import PromptEdit, read_mark, read_prompt


@pytest.mark.parametrize(
    ("prompt", "text", "edits"),
    [
        ("a rose", "a rose", []),
        ("a rose <edit:blue:0.8>, red", "a rose , red", [PromptEdit("blue", 0.8)]),
        ("<edit:blue roses><edit: sub/two : -1 >", "", [PromptEdit("blue roses"), PromptEdit("sub/two", -1.0)]),
        (
            "<edit:Blue:0.5> a <edit:b> <edit:blue:1e-1>",
            " a  ",
            [PromptEdit("Blue", 0.5), PromptEdit("b"), PromptEdit("blue", 0.1)],
        ),
        ("<lora:x:1> (a rose:1.2) < edit:x> <Edit:x>", "<lora:x:1> (a rose:1.2) < edit:x> <Edit:x>", []),
        ("a <edit:one\nline:2>", "a ", [PromptEdit("one\nline", 2.0)]),
    ],
)
def test_marks_are_taken_out_and_read(prompt, text, edits):
    assert read_prompt(prompt) == (text, edits)


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("a <edit:x:much>", "In the prompt, the strength in <edit:x:much> is no number; write one such as <edit:x:0.8>."),
        ("a <edit:x:>", "In the prompt, the strength in <edit:x:> is no number; write one such as <edit:x:0.8>."),
        ("a <edit::1>", "In the prompt, <edit::1> names no edit; write one such as <edit:blue roses:0.8>."),
        ("a <edit:x:1:2>", "In the prompt, <edit:x:1:2> has more than a name and a strength; write <edit:x:0.8>."),
        ("a <edit:x:1", "In the prompt, “<edit:x:1” has no “>” behind a name; write <edit:blue roses:0.8>."),
        ("a <edit:x <edit:y", "In the prompt, “<edit:x <edit:y” has no “>” behind a name; write <edit:blue roses:0.8>."),
        ("a <edit:>", "In the prompt, “<edit:>” has no “>” behind a name; write <edit:blue roses:0.8>."),
    ],
)
def test_what_is_not_understood_is_one_sentence(prompt, sentence):
    with pytest.raises(EditError) as error:
        read_prompt(prompt)
    assert str(error.value) == sentence


def test_a_mark_of_nothing_names_no_edit():
    with pytest.raises(EditError, match="names no edit; write one such as"):
        read_mark([])
