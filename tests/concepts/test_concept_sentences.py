"""Concepts in their sentences as numbers, with a tokenizer of whole words whose every id is written down."""

import pytest
import torch
from edit_assumption.editing.concepts.concept_lines import Concept
from edit_assumption.editing.concepts.sentences import Sentences, Tokens, sentences_of
from edit_assumption.editing.errors import EditError

WINDOW = 16
WORDS = ["<p>", "<s>", "<e>", "a", "photo", "of", "rose", "tulip", "red", "cat", "dog"]


def tokens_of(prompt, window=WINDOW, cut=""):
    words = prompt.split()[: window - 1]
    pieces = ["<s>", *(f"{word}</w>" for word in words), "<e>"][:window]
    pieces += ["<p>"] * (window - len(pieces))
    ids = [WORDS.index(piece.removesuffix("</w>")) for piece in pieces]
    return Tokens(tuple(ids), tuple(pieces), range(1, 1 + len(words)), cut=cut)


def tokenize(prompts):
    return [tokens_of(prompt) for prompt in prompts]


CONCEPTS = [Concept("rose", "red tulip"), Concept("cat", "")]
TEMPLATES = ("a {}", "a photo of {}")


@pytest.fixture
def sentences():
    return sentences_of(CONCEPTS, tokenize, TEMPLATES)


def test_every_number_of_some_sentences(sentences):
    assert sentences.concept.tolist() == [0, 0, 1, 1] and sentences.origin.tolist() == [0, 1]
    assert sentences.subject.tolist() == [2, 4, 2, 4] and sentences.count == 2 and sentences.left_out == 0
    texts = [
        ("a rose", "a red tulip"),
        ("a photo of rose", "a photo of red tulip"),
        ("a cat", "a"),
        ("a photo of cat", "a photo of"),
    ]
    assert sentences.ids.tolist() == [list(tokens_of(source).ids) for source, _ in texts]
    assert sentences.destination.tolist() == [list(tokens_of(destination).ids) for _, destination in texts]
    # From the subject to the end token; then the padding's first, fourth and seventh stand for all of it.
    assert sentences.rows.tolist() == [[2, 3, 4, 7, 10], [4, 5, 6, 9, 12]] * 2
    assert sentences.weight.tolist() == [[1, 1, 4, 4, 4], [1, 1, pytest.approx(10 / 3)] + [pytest.approx(10 / 3)] * 2] * 2
    # Of “a rose” the rose becomes the tulip, its end the other end, padding the padding beside it, and the last the last.
    assert sentences.partner[0].tolist() == [0, 1, 3, 4, *range(5, 16), 15]
    assert sentences.partner[2].tolist() == [0, 1, 1, *range(2, 15)]  # what is forgotten becomes the last word left
    assert sentences.answers[0].tolist() == [3, 4, 5, 8, 11] and sentences.answers[2].tolist() == [1, 2, 3, 6, 9]


def test_rows_of_fewer_positions_are_filled_up_without_weight():
    full = tokens_of("a rose", window=4)
    short = sentences_of([Concept("rose", "cat")], lambda prompts: [tokens_of(prompt, 4) for prompt in prompts], ("a {}", "{}"))
    assert short.rows.tolist() == [[2, 3, 2], [1, 2, 3]] and short.weight.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert full.short() == full


def test_a_window_that_is_full_to_its_end():
    """No end token is read, and nothing stands behind the subject."""
    words = "a photo of a photo of a photo of a photo of a photo rose"
    (entry,) = tokenize([words])
    assert len(words.split()) == 15 == entry.words.stop - 1 and entry.short() == entry
    found = sentences_of([Concept("rose", "cat")], tokenize, [words.replace("rose", "{}")])
    assert found.rows.tolist() == [[15]] and found.weight.tolist() == [[1]]


def test_some_concepts_alone(sentences):
    part = sentences.of(torch.tensor([1]))
    assert part.concept.tolist() == [0, 0] and part.origin.tolist() == [1] and part.count == 1
    for name in ("ids", "destination", "subject", "partner", "rows", "weight"):
        assert torch.equal(getattr(part, name), getattr(sentences, name)[2:])
    again = sentences.of(torch.tensor([0, 1])).of(torch.tensor([1]))
    assert again.origin.tolist() == [1] and torch.equal(again.ids, part.ids)


def test_what_stands_behind_all_that_is_compared_is_cut_and_put_back(sentences):
    cut = sentences.cut()
    assert cut.ids.shape == cut.destination.shape == cut.partner.shape == (4, 14) and cut.left_out == 2
    assert torch.equal(cut.ids, sentences.ids[:, :14]) and torch.equal(cut.rows, sentences.rows)
    again = cut.cut()
    assert again.left_out == 2 and again.ids.shape == (4, 14)
    contexts = torch.arange(4 * 14 * 2).view(4, 14, 2)
    whole = cut.whole(contexts)
    assert whole.shape == (4, 16, 2) and torch.equal(whole[:, :14], contexts)
    assert all(torch.equal(whole[:, place], contexts[:, 13]) for place in (14, 15))
    behind = Sentences(*(torch.zeros(1, dtype=torch.long),), *(torch.zeros(1, 9, dtype=torch.long),) * 2,
                       torch.tensor([7]), torch.zeros(1, 9, dtype=torch.long), torch.zeros(1, 1, dtype=torch.long),
                       torch.ones(1, 1), torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.bool))  # fmt: skip
    assert behind.cut().ids.shape == (1, 8)  # the subject itself is kept


def test_means_and_shares_are_of_each_concepts_sentences():
    plain = sentences_of(CONCEPTS, tokenize, TEMPLATES)
    three = sentences_of(CONCEPTS[:1], tokenize, (*TEMPLATES, "{}"))
    assert plain.share().tolist() == [0.5] * 4 and three.share().tolist() == [pytest.approx(1 / 3)] * 3
    assert plain.mean(torch.tensor([1.0, 2.0, 3.0, 5.0])).tolist() == [1.5, 4.0]
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 9.0]], dtype=torch.float64)
    found = plain.mean(values)
    assert found.dtype == torch.float64 and found.tolist() == [[2.0, 3.0], [6.0, 7.5]]
    assert plain.mean(values[:, :, None]).shape == (2, 2, 1)
    with torch.device("meta"):  # what is made without a word of where goes elsewhere here, and fits nothing
        assert torch.equal(plain.mean(values), found)


def test_tokens_by_what_they_stand_for():
    plain = tokens_of("a red rose")
    assert plain.subject("a red rose", "red rose") == 3 and plain.subject("a red rose", "red") == 2
    other = Tokens(plain.ids, ("<s>", "x", "y", "z", *plain.pieces[4:]), plain.words, ("a</w>", "red</w>", "rose</w>"))
    assert other.subject("a red rose", "rose") == 3
    assert plain.short() == Tokens(plain.ids[:5], plain.pieces[:5], plain.words)
    prompt = plain.as_prompt()
    assert prompt.tokens == plain.pieces and prompt.words == [1, 2, 3] and prompt.embeddings.shape == (WINDOW, 0)
    assert (prompt.chunks[0].start, prompt.chunks[0].stop) == (0, WINDOW)


def test_every_text_is_tokenized_once_in_one_call():
    calls = []

    def counted(prompts):
        calls.append(list(prompts))
        return tokenize(prompts)

    sentences_of([Concept("rose", "cat"), Concept("dog", "cat")], counted, ("a {}",))
    assert calls == [["a rose", "a cat", "a dog"]]
    assert len(sentences_of([Concept("rose", "cat")], tokenize_words).ids) == 4  # templates of its own


def tokenize_words(prompts):
    """Any words, in a window of nine."""
    found = []
    for words in map(str.split, prompts):
        pieces = ("<s>", *(f"{word}</w>" for word in words), "<e>", *["<p>"] * (7 - len(words)))
        found.append(Tokens(tuple(map(hash, pieces)), pieces, range(1, 1 + len(words))))
    return found


@pytest.mark.parametrize("side", [0, 1])
def test_what_differs_behind_the_window_is_refused(side):
    """“a rose” and “a red rose” in a window of three."""

    def narrow(prompts):
        return [
            Tokens((1, 3, 2), ("<s>", "a</w>", "<e>"), range(1, 2), (), "rose" * ((len(text) > 6) == side)) for text in prompts
        ]

    with pytest.raises(EditError) as caught:
        sentences_of([Concept("a", "a red")], narrow, ("{} rose",))
    assert str(caught.value) == (
        "“a rose” and “a red rose” differ only behind the 3 tokens that the text encoder reads; write both shorter. "
        "It does not see “rose”."
    )
