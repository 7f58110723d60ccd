"""Columns: which tokens take part, beside what they should become, and how they are parted, joined and told apart."""

import pytest
import torch
from edit_assumption.editing.assumptions.prompt_pair import PromptPair
from edit_assumption.editing.assumptions.recipe import Recipe
from edit_assumption.editing.assumptions.token_columns import (
    Columns,
    blocks,
    check_finite,
    columns_of,
    equal_tokens,
    parts_of,
    positions_of,
    preserved_tokens,
)
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError

WIDTH = 6


def prompt_of(words, seed, padding=2, zeros=0):
    """<s>, the words, <e>, padding, and padding that is zeros."""
    tokens = ("<s>", *(f"{word}</w>" for word in words.split()), "<e>", *["<p>"] * (padding + zeros))
    rows = torch.randn(len(tokens), WIDTH, generator=torch.Generator().manual_seed(seed))
    rows[len(tokens) - zeros :] = 0
    return EncodedPrompt(tokens, (Chunk(0, range(1, 1 + len(words.split())), len(tokens)),), rows)


def test_all_positions_but_those_of_zeros_or_the_words_and_the_end():
    prompt = prompt_of("a rose", 0, zeros=2)
    assert positions_of(prompt, "all") == [0, 1, 2, 3, 4, 5]
    assert positions_of(prompt, "words") == [1, 2, 3]
    rows = torch.eye(8)[:, :3]
    chunks = (Chunk(0, range(1, 4), 4), Chunk(4, range(5, 6), 8))  # the first window is full to its end
    assert positions_of(EncodedPrompt(("x",) * 8, chunks, rows), "words") == [1, 2, 3, 5, 6]
    assert positions_of(EncodedPrompt(("x",) * 8, chunks, rows), "all") == [0, 1, 2]


ENCODED = {
    "a rose": prompt_of("a rose", 1),
    "a red rose": prompt_of("a red rose", 2),
    "the photo of a rose": prompt_of("the photo of a rose", 3),
    "the photo of a red rose": prompt_of("the photo of a red rose", 4),
    "a cat": prompt_of("a cat", 5, zeros=1),
    "a dog": prompt_of("a dog", 6),
}
RECIPE = Recipe((PromptPair("a rose", "a red rose", 0.5, 3.0, ("the photo of",)),), preserve=("a cat",), strict=("a dog",))


@pytest.mark.parametrize(("positions", "first", "kept"), [("all", [0, 1, 3, 4, 5, 6], 6), ("words", [1, 3, 4], 3)])
def test_a_recipe_is_a_part_for_each_sentence(positions, first, kept):
    pair, sentence, cat, *others = parts_of(RECIPE, ENCODED, positions)
    rows = positions_of(ENCODED["a rose"], positions)
    assert torch.equal(pair.source, ENCODED["a rose"].embeddings[rows])
    assert torch.equal(pair.targets(), ENCODED["a red rose"].embeddings[first])
    assert pair.strength.tolist() == [0.5] * len(first) and pair.weight.tolist() == [3.0] * len(first)
    assert pair.strength.dtype == pair.weight.dtype == torch.float64
    assert torch.allclose(pair.shift(), 0.5 * (pair.targets().double() - pair.source.double()), atol=1e-15)
    assert torch.equal(sentence.targets()[0], ENCODED["the photo of a red rose"].embeddings[0 if positions == "all" else 1])
    assert torch.equal(cat.source, ENCODED["a cat"].embeddings[positions_of(ENCODED["a cat"], positions)])
    assert len(cat) == kept and not cat.shift().any() and set(cat.weight.tolist()) == {1.0}
    assert len(others) == len(RECIPE.kept) - 1
    below = columns_of(RECIPE, ENCODED, positions)
    parts = [pair, sentence, cat, *others]
    for joined, of_part in ((below.source, "source"), (below.weight, "weight"), (below.strength, "strength")):
        assert torch.equal(joined, torch.cat([getattr(part, of_part) for part in parts]))
    assert torch.equal(below.destination, torch.cat([part.targets() for part in parts]))


def test_all_positions_are_the_default():
    assert len(columns_of(RECIPE, ENCODED)) == len(columns_of(RECIPE, ENCODED, "all"))
    assert [*map(len, parts_of(RECIPE, ENCODED))] == [*map(len, parts_of(RECIPE, ENCODED, "all"))]
    assert len(columns_of(RECIPE, ENCODED)) > len(columns_of(RECIPE, ENCODED, "words"))


@pytest.mark.parametrize("side", [0, 1], ids=["the source's", "the destination's"])
def test_pairs_that_differ_behind_the_window_are_refused(side):
    tokens, chunks, rows = ("<s>", "a</w>", "<e>"), (Chunk(0, range(1, 2), 3),), torch.ones(3, 2)
    cuts = ["", ""]
    cuts[side] = "rose"
    encoded = {text: EncodedPrompt(tokens, chunks, rows, cut=cut) for text, cut in zip(("a rose", "a"), cuts, strict=True)}
    with pytest.raises(EditError) as caught:
        parts_of(Recipe((PromptPair("a rose", "a", augmentations=()),)), encoded)
    assert str(caught.value) == (
        "“a rose” and “a” differ only behind the 3 tokens that the text encoder reads; write both shorter. "
        "It does not see “rose”."
    )


def test_sentences_that_say_what_is_wrong():
    with pytest.raises(EditError) as caught:
        parts_of(Recipe((PromptPair("a rose", "a cat", strength=0),)), ENCODED)
    assert str(caught.value) == "Every edit of the recipe has strength 0, so nothing would change; raise a strength."
    with pytest.raises(EditError) as caught:
        check_finite(torch.tensor([1.0, float("nan")]))
    assert str(caught.value) == "The text encoder gave numbers that are not finite; load it in another precision."


@pytest.mark.parametrize(("rows", "chunks"), [(3, (Chunk(0, range(1), 2),)), (2, ()), (2, (Chunk(0, range(1), 3),))])
def test_a_prompt_whose_parts_do_not_fit_is_refused(rows, chunks):
    with pytest.raises(ValueError) as caught:
        EncodedPrompt(("a", "b"), chunks, torch.zeros(rows, 4))
    assert str(caught.value) == f"2 tokens do not fit embeddings of shape ({rows}, 4)"


def test_numbers_whose_sum_is_too_large_are_finite():
    check_finite(torch.full((4, 2), 3e38))


def test_preserved_tokens_are_each_there_once():
    once, again = prompt_of("a rose", 1), prompt_of("a cat", 5)
    again.embeddings[0] = once.embeddings[0]
    rows = preserved_tokens([once, again])
    assert rows.dtype == torch.float64
    assert torch.equal(rows, torch.cat([once.embeddings, again.embeddings[1:]]).double())  # in their order
    again.embeddings[1, 1] = float("inf")
    with pytest.raises(EditError, match="not finite"):
        preserved_tokens([once, again])


def test_blocks_keep_answers_strengths_and_weights():
    generator = torch.Generator().manual_seed(0)
    source, destination = torch.randn(2, 9, 3, generator=generator)
    answers = torch.tensor([8, 7, 0, 0, 1, 2, 3, 4, 5])
    strength, weight = torch.rand(2, 9, generator=generator, dtype=torch.float64)
    parts = [Columns(source, destination, strength, weight, answers), Columns(source[:2], source[:2], strength[:2], weight[:2])]
    found = list(blocks(parts, 4))
    assert [len(block) for block in found] == [4, 4, 3]  # the ninth token waits for the two behind it
    whole, expected = Columns.joined(found), Columns.joined(parts)
    assert torch.equal(whole.source, torch.cat([source, source[:2]]))
    assert torch.equal(whole.destination, torch.cat([destination[answers], source[:2]]))
    assert torch.equal(whole.strength, expected.strength) and torch.equal(whole.weight, expected.weight)
    assert [len(block) for block in blocks([Columns.of(source[:4], source[:4])], 4)] == [4]
    assert list(blocks([], 4)) == []


def test_a_shift_goes_its_strength_of_the_way():
    source, destination = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    mixed = Columns(source, destination, torch.tensor([1.0, 0.5, -2.0]).double(), torch.ones(3).double())
    expected = (destination.double() - source.double()) * torch.tensor([[1.0], [0.5], [-2.0]]).double()
    assert torch.equal(mixed.shift(), expected)
    assert (len(mixed), mixed.width) == (3, 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 15, 64])
def test_tokens_are_equal_to_the_bit(dtype, width):
    rows = torch.randn(40, width, generator=torch.Generator().manual_seed(1)).to(dtype)
    rows[20:] = rows[:20]
    rows[30:35, -1] = torch.nextafter(rows[30:35, -1], torch.ones(()).to(dtype))
    rows[35:, -1] *= -1
    different = len({tuple(row.tolist()) for row in rows})
    count, group = equal_tokens([rows[:7], rows[7:8], rows[8:]])
    assert count == different and int(group.max()) == count - 1 and int(group.min()) == 0
    groups = group.tolist()
    for one in range(40):
        for other in range(40):
            assert (groups[one] == groups[other]) == torch.equal(rows[one], rows[other])


def test_many_tokens_are_told_apart():
    """More than are looked at together, and equal in all that is looked at first."""
    rows = torch.zeros(5000, 32)
    rows[:, 1] = torch.arange(5000)
    rows[4999, 1] = 3
    count, group = equal_tokens([rows])
    assert count == 4999 and group[4999] == group[3]


def test_everything_is_made_where_the_embeddings_are():
    """What is made without a word of where goes elsewhere here, and fits nothing."""
    prompts = list(ENCODED.values())
    columns, few, preserved = columns_of(RECIPE, ENCODED), equal_tokens([prompts[0].embeddings]), preserved_tokens(prompts)
    with torch.device("meta"):
        assert torch.equal(columns_of(RECIPE, ENCODED).shift(), columns.shift())
        assert torch.equal(equal_tokens([prompts[0].embeddings])[1], few[1])
        assert torch.equal(preserved_tokens(prompts), preserved)
