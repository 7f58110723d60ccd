"""The second moment of ordinary captions, caption by caption."""

import pytest
import torch
from edit_assumption.editing.assumptions.moments import read_captions, second_moment
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.ordinary_captions import ordinary_captions


def encode(prompts):
    """Two windows: a start token, words, an end token and padding each; every prompt other numbers."""
    found = []
    for prompt in prompts:
        rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(len(prompt)))
        found.append(EncodedPrompt(("x",) * 10, (Chunk(0, range(1, 3), 5), Chunk(5, range(6, 9), 10)), rows))
    return found


def mean_square(captions, rows=(1, 2, 3, 4, 6, 7, 8, 9)):
    tokens = torch.cat([prompt.embeddings[list(rows)] for prompt in encode(captions)]).double()
    return tokens.T @ tokens / len(tokens)


@pytest.mark.parametrize(("positions", "rows"), [("all", (1, 2, 3, 4, 6, 7, 8, 9)), ("words", (1, 2, 3, 6, 7, 8, 9))])
def test_the_moment_is_the_mean_over_all_but_start_tokens(positions, rows):
    captions = ["a cat", "a green dog", "apples"]
    found = second_moment(encode(captions), positions)
    assert found.dtype == torch.float64 and torch.allclose(found, mean_square(captions, rows), rtol=1e-12)
    assert torch.equal(second_moment(encode(captions)), second_moment(encode(captions), "all"))


@pytest.mark.parametrize("count", [3, 16, 37])
def test_captions_are_read_a_few_at_a_time(count):
    captions, calls = ["rose" * number for number in range(1, count + 1)], []

    def counted(prompts):
        calls.append(list(prompts))
        return encode(prompts)

    assert torch.allclose(read_captions(counted, captions).whole(), mean_square(captions), rtol=1e-12)
    assert [caption for call in calls for caption in call] == captions
    assert [len(call) for call in calls] == {3: [3], 16: [16], 37: [16, 16, 5]}[count]


def test_ordinary_captions_are_the_default():
    asked = []
    read_captions(lambda prompts: asked.extend(prompts) or encode(prompts))
    assert asked == list(ordinary_captions())


def test_embeddings_that_are_not_finite_are_refused():
    prompt = encode(["a cat"])[0]
    prompt.embeddings[2, 2] = float("nan")
    with pytest.raises(EditError, match="not finite"):
        second_moment([prompt])
