"""Token alignment: examples worked by hand, and rules that hold for any prompts."""

import csv
import os
from pathlib import Path

import pytest
import torch
from comfy_server import installed_hosts
from edit_assumption.editing.alignment import align, align_words
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from hypothesis import given, settings
from hypothesis import strategies as st

TIMED = os.environ.get("TIMED_PATH")  # a folder with TIMED's validation and gender sets, which are not ours to ship
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "300"))
START, END = "<|startoftext|>", "<|endoftext|>"


def prompt(tokens, chunks):
    return EncodedPrompt(tuple(tokens), tuple(chunks), torch.zeros(len(tokens), 1))


def clip(*texts):
    """One window of 77 tokens for each text, as CLIP has them."""
    tokens, chunks = [], []
    for number, text in enumerate(texts):
        words = [f"{word}</w>" for word in text.split()]
        start = 77 * number
        tokens += [START, *words, *[END] * (76 - len(words))]
        chunks.append(Chunk(start, range(start + 1, start + 1 + len(words)), start + 77))
    return prompt(tokens, chunks)


def t5(text):
    """No start token, no padding, one end token."""
    words = [f"▁{word}" for word in text.split()]
    return prompt([*words, "</s>"], [Chunk(0, range(len(words)), len(words) + 1)])


@pytest.mark.parametrize(
    ("source", "destination", "answers"),
    [
        ("a pack of roses", "a pack of blue roses", [0, 1, 2, 4]),  # inserted
        ("a doctor", "a doctor", [0, 1]),
        ("an apple", "a green apple", [0, 2]),
        ("a pear", "an ugly pear", [0, 2]),
        ("a a", "a b a a", [0, 2]),  # the first match after the previous one
        ("a red rose", "a rose", [0, 1, 1]),  # deleted: the word after the gap
        ("a rose in rain", "a rose", [0, 1, 1, 1]),  # deleted at the end: the last word
        ("red rose", "rose", [0, 0]),
        ("van gogh", "claude oscar monet", [1, 2]),  # replaced, last to last
        ("vincent van gogh", "monet", [0, 0, 0]),
        ("art of vincent van gogh here", "art of claude monet here", [0, 1, 2, 2, 3, 4]),
        ("art of monet here", "art of vincent van gogh here", [0, 1, 4, 5]),
        ("a cat", "two dogs", [0, 1]),
        ("a house", "the house of a king", [0, 1]),  # an article is no anchor
        ("a house", "the palace of a king", [3, 4]),  # unless it costs nothing
        ("a big house", "the small palace in a garden", [0, 1, 2]),  # what hangs on the noun is not its head
        ("george costanza", "tom hanks in a suit", [0, 1]),
        ("george costanza in a suit", "tom hanks", [0, 1, 1, 1, 1]),
        ("roses", "a bunch of tulips", [3]),  # the last word
        ("a picture of a cat", "a dog", [0, 1, 1, 1, 1]),  # no noun answers to an article
        ("the tower of pisa", "the eiffel tower", [0, 2, 2, 2]),
        ("the eiffel tower", "the tower of pisa", [0, 1, 1]),
        ("fox squirrel", "kit fox", [1, 1]),
        ("squirrel fox", "fox kit", [0, 0]),
        ("fish and chips", "chips and fish", [2, 2, 2]),
        ("a red house", "the house of a red king", [0, 1, 1]),  # the last word first
        ("the president of the united states", "the king of england", [0, 1, 2, 3, 3, 3]),
        ("portrait of a man", "painting of a woman by the sea", [0, 1, 2, 3]),
        ("a cat .", "two dogs !", [0, 1, 2]),
        ("a cat .", "two dogs", [0, 1, 1]),
        ("van gogh", "the who", [1, 1]),  # nothing but light words to answer
        ("the who", "the beatles", [0, 1]),
        ("rose of", "garden of a rose", [3, 3]),
        ("roses", "", [0]),
        ("", "roses", []),
        ("", "", []),
    ],
)
def test_words_by_hand(source, destination, answers):
    assert align_words(source.split(), destination.split()) == answers


@pytest.mark.parametrize(
    ("source", "destination", "answers"),
    [
        # CLIP marks the ends of words.
        ("george</w> co stan za</w>", "tom</w> hanks</w>", [0, 1, 1, 1]),
        ("tom</w> hanks</w>", "george</w> co stan za</w>", [0, 3]),
        ("fa bio</w>", "co stan za</w>", [1, 2]),
        ("big</w> co stan za</w>", "tall</w> hanks</w>", [0, 1, 1, 1]),
        ("ant Ã³ ni o</w> gu ter res</w>", "ban</w> mo on</w>", [0, 0, 0, 0, 1, 1, 2]),
        ("ban</w> moon</w>", "ant Ã³ ni o</w> gu terres</w>", [3, 5]),
        ("small</w> ro ses</w>", "ro ses</w> now</w>", [0, 0, 1]),  # what goes stands before the word's first piece
        ("ro ses</w> of</w> pi sa</w>", "tu lip</w> ro ses</w>", [2, 3, 3, 3, 3]),  # or behind its last
        ("co za</w>", "co stan za</w>", [0, 2]),  # TIME's rule looks at pieces
        ("embedding:x:0 cat</w>", "red</w> dog</w>", [0, 1]),  # a textual inversion is no part of the word behind it
        ("red</w> cat</w>", "embedding:x:0 embedding:x:1 dog</w>", [1, 2]),
        ("embedding:x:0 embedding:x:1 cat</w>", "embedding:x:0 embedding:x:1 dog</w>", [0, 1, 2]),
        # Sentencepiece marks the beginnings of words, and byte-level BPE that of every word but the first.
        ("▁George ▁Co stan za", "▁Tom ▁Hanks", [0, 1, 1, 1]),
        ("▁Co stan za", "▁tom ▁hanks", [1, 1, 1]),
        ("▁ROS ES ▁here", "▁big ▁ros es", [1, 2, 2]),  # in any case
        ("▁a ▁cat , ▁red", "▁one ▁dog , ▁blue", [0, 1, 2, 3]),
        ("▁cat ▁ . ▁red", "▁dog ▁ ! ▁blue", [0, 1, 2, 3]),
        ("▁wolf - hound", "▁cat", [0, 0, 0]),
        ("▁ cat", "▁red ▁dog", [1, 1]),
        ("▁big ▁fa Xon", "▁red ▁cat", [0, 1, 1]),
        ("▁wolf embedding:x:0", "▁big ▁cat", [0, 1]),
        ("▁fox ▁wolf - hound s", "▁fox - terri ers", [0, 2, 2, 2, 3]),
        ("George ĠCo stan za", "Tom ĠHanks", [0, 1, 1, 1]),
        ("Ant Ã³ nio Ġcat", "B Ã¡n Ġdog", [0, 0, 1, 2]),
        ("Jos Ã © Ġcat", "B Ã © Ġdog", [0, 1, 2, 3]),
        # Without marks every piece is a word.
        ("george co stan za", "tom hanks", [0, 0, 0, 1]),
    ],
)
def test_pieces_stay_within_their_words(source, destination, answers):
    assert align_words(source.split(), destination.split()) == answers


@pytest.mark.parametrize("form", ["{}</w>", "▁{}", "Ġ{}", "{}"])
def test_light_words_in_every_tokenizer(form):
    source, destination = ([form.format(word) for word in text.split()] for text in ("an apple", "The apple of a king"))
    assert align_words(source, destination) == [0, 1]


@pytest.mark.parametrize("form", ["{}</w>", "▁{}", "Ġ{}", "{}"])
def test_an_counts_as_a_in_every_tokenizer(form):
    source, destination = ([form.format(word) for word in text.split()] for text in ("an apple an", "one a big apple a"))
    assert align_words(source, destination) == [1, 3, 4]


def test_other_words_are_compared_as_they_are():
    assert align_words(["and", "cat"], ["a", "cat", "and", "cat"]) == [2, 3]
    assert align_words(["cat</w>"], ["cat", "cat</w>"]) == [1]
    assert align_words(["an"], ["Xan", "A", "a"]) == [2]


def test_words_of_long_prompts_count_however_often_they_come():
    common = ["b", "c"] * 150
    assert align_words(["x", *common], ["y", "z", *common]) == list(range(1, 302))


def test_clip_prompt_with_an_inserted_word():
    answers = align(clip("a pack of roses"), clip("a pack of blue roses"))
    assert answers == [0, 1, 2, 3, 5, *range(6, 77), 76]


def test_clip_prompt_with_a_deleted_word():
    answers = align(clip("a red rose"), clip("a rose"))
    assert answers == [0, 1, 2, 2, *range(3, 76)]


def test_clip_prompt_without_common_words():
    answers = align(clip("vincent van gogh"), clip("a cat"))
    assert answers == [0, 2, 2, 2, *range(3, 76)]


def test_forgotten_words_answer_to_the_end_token():
    assert align(clip("van gogh"), clip("")) == [0, 1, 1, *range(1, 75)]


def test_empty_source():
    assert align(clip(""), clip("two words")) == [0, *range(3, 77), 76, 76]
    assert align(clip(""), clip("")) == list(range(77))


def test_full_windows():
    full = " ".join(f"word{number}" for number in range(75))
    assert align(clip(full), clip(full)) == list(range(77))
    assert align(clip("word3 word74"), clip(full)) == [0, 4, 75, *[76] * 74]


def test_two_windows_that_grow_by_a_word():
    answers = align(clip("a rose", "in the rain"), clip("a blue rose", "in the heavy rain"))
    assert answers[:77] == [0, 1, 3, *range(4, 77), 76]
    assert answers[77:] == [77, 78, 79, 81, *range(82, 154), 153]


def test_word_that_moves_into_the_next_window():
    answers = align(clip("a rose rain"), clip("a rose", "rain now"))
    # The last word lies in the second window, so that is where start, end and padding answer to.
    assert answers == [77, 1, 2, 78, *range(80, 153)]


def test_two_windows_onto_one():
    answers = align(clip("a rose", "in rain"), clip("a blue rose in rain"))
    assert answers[:77] == [0, 1, 3, *range(6, 77), 76, 76, 76]
    assert answers[77:] == [0, 4, 5, *range(6, 77), 76, 76, 76]


def test_empty_window_answers_to_the_window_of_its_number():
    answers = align(clip("a rose", "", ""), clip("a rose", "in rain"))
    assert answers[77:154] == [77, *range(80, 154), 153, 153]
    assert answers[154:] == answers[77:154]


def test_t5_tokens():
    assert align(t5("a rose"), t5("a blue rose")) == [0, 2, 3]
    assert align(t5("a blue rose"), t5("a rose")) == [0, 1, 1, 2]
    assert align(t5("a rose in rain"), t5("a rose")) == [0, 1, 1, 1, 2]
    assert align(t5("van gogh"), t5("")) == [0, 0, 0]
    assert align(t5(""), t5("a rose")) == [2]
    assert align(t5(""), t5("")) == [0]
    assert align(t5("an apple"), t5("a green apple")) == [0, 2, 3]


def test_forgotten_words_where_no_end_token_is():
    assert align(prompt(["a</w>"], [Chunk(0, range(1), 1)]), prompt([START], [Chunk(0, range(1, 1), 1)])) == [0]


def test_windows_without_anything_before_their_words():
    """The first token of a window is not the one behind the window before it."""
    both = prompt(["a</w>", END, "b</w>", END], [Chunk(0, range(1), 2), Chunk(2, range(2, 3), 4)])
    assert align(prompt(["b</w>", END], [Chunk(0, range(1), 2)]), both) == [2, 3]


@pytest.mark.parametrize(("opening", "answers"), [(1, [0, 0]), (2, [0, 0, 0])])
def test_a_window_that_is_smaller_than_what_opens_the_source(opening, answers):
    source = prompt([*[START] * opening, END], [Chunk(0, range(opening, opening), opening + 1)])
    assert align(source, prompt([END], [Chunk(0, range(0), 1)])) == answers


def test_every_stream_is_aligned_by_itself():
    """Two encoders' tokens one behind the other, as SD3 has them."""

    def both(text):
        first, second = clip(text), t5(text)
        start = len(first.tokens)
        words = range(start, start + len(second.chunks[0].words))
        tail = Chunk(start, words, start + len(second.tokens), stream=1)
        return prompt([*first.tokens, *second.tokens], [*first.chunks, tail])

    answers = align(both("a rose"), both("a blue rose"))
    assert answers[:77] == align(clip("a rose"), clip("a blue rose"))
    assert answers[77:] == [77 + place for place in align(t5("a rose"), t5("a blue rose"))]


def test_tokens_without_any_end():
    source, destination = (prompt(text.split(), [Chunk(0, range(count), count)]) for text, count in (("a b c", 3), ("a", 1)))
    assert align(source, destination) == [0, 0, 0]


words = st.lists(st.sampled_from(["a", "an", "b", "c", "rose", "薔薇", ""]), max_size=12)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(words, words)
def test_any_words_get_rising_answers_in_range(source, destination):
    answers = align_words(source, destination)
    assert len(answers) == len(source)
    assert all(0 <= answer < max(1, len(destination)) for answer in answers)  # the end only where there is no word
    assert answers == sorted(answers)
    assert align_words(source, source) == list(range(len(source)))


CONTENT = ["cat", "tulip", "gogh", "moon", "king"]
LIGHT = ["a", "an", "the", "of", "in", "and", ","]


def in_pieces(of):
    """Words in CLIP's spelling, each in one to three pieces of which no other word has the same."""
    return st.lists(st.sampled_from(of).flatmap(lambda word: st.sampled_from([1, 2, 3]).map(lambda count: (word, count))))


def spelled(words):
    pieces, owners = [], []
    for number, (word, count) in enumerate(words):
        count = min(count, len(word))
        pieces += [*word[: count - 1], f"{word[count - 1 :]}</w>"]
        owners += [number] * count
    return pieces, owners


def contained(source, destination):
    offered = iter("a</w>" if piece == "an</w>" else piece for piece in destination)
    return all(("a</w>" if piece == "an</w>" else piece) in offered for piece in source)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(in_pieces(CONTENT + LIGHT), in_pieces(CONTENT + LIGHT))
def test_words_stay_whole(source, destination):
    (ours, own), (theirs, other) = spelled(source), spelled(destination)
    answers = align_words(ours, theirs)
    assert answers == sorted(answers) and len(answers) == len(ours)
    assert align_words(ours, ours) == list(range(len(ours)))
    if contained(ours, theirs) or not theirs:
        return
    answering = [{other[answer] for answer, owner in zip(answers, own, strict=True) if owner == n} for n in range(len(source))]
    assert all(len(numbers) == 1 for numbers in answering)
    content = [number for number, (word, _) in enumerate(destination) if word in CONTENT]
    for (word, _), (number,) in zip(source, map(tuple, answering), strict=True):
        assert word not in CONTENT or not content or number in content


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(in_pieces(CONTENT[:3]), in_pieces(CONTENT[3:]), st.lists(st.sampled_from(LIGHT)))
def test_the_last_word_becomes_the_last_word_where_all_is_replaced(source, destination, light):
    (ours, _), (theirs, _) = spelled([*source, ("cat", 2)]), spelled([*destination, ("king", 3)])
    answers = align_words([*ours, *(f"{word}</w>" for word in light)], theirs)
    assert answers[len(ours) - 1] == len(theirs) - 1


def windows():
    """Prompts of one to three windows of any layout, each with something before, in or after its words."""
    window = st.tuples(st.integers(0, 2), words.map(lambda pieces: pieces[:4]), st.integers(0, 3))

    def build(layout):
        tokens, chunks = [], []
        for before, pieces, after in layout:
            start = len(tokens)
            tokens += [START] * before + pieces + [END] * after
            chunks.append(Chunk(start, range(start + before, start + before + len(pieces)), len(tokens)))
        return prompt(tokens, chunks)

    return st.lists(window.filter(lambda parts: parts[0] + len(parts[1]) + parts[2]), min_size=1, max_size=3).map(build)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(windows(), windows())
def test_any_windows_get_answers_in_range(source, destination):
    answers = align(source, destination)
    assert len(answers) == len(source.tokens)
    assert all(0 <= answer < len(destination.tokens) for answer in answers)
    in_order = [answers[position] for position in source.words]
    assert in_order == sorted(in_order)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(words, words)
def test_one_window_onto_one_rises(source, destination):
    answers = align(clip(" ".join(source)), clip(" ".join(destination)))
    assert answers[0] == 0
    assert answers == sorted(answers)
    assert answers[-1] <= 76


def published_rule(source, destination):
    """TIME's correspondence over 77 positions, written from its description."""
    same = {"an</w>": "a</w>"}
    wanted, offered = ([same.get(token, token) for token in tokens] for tokens in (source, destination))
    offered = iter(enumerate(offered))
    answers = [next(place for place, token in offered if token == word) for word in wanted]
    while len(answers) < 77:
        answers.append(min(answers[-1] + 1, 76))
    return answers


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(source=words, data=st.data())
def test_contained_source_follows_the_published_rule(source, data):
    destination = list(source)
    for extra in data.draw(words):
        destination.insert(data.draw(st.integers(0, len(destination))), extra)
    swap = {"a": "an", "an": "a"}
    destination = [swap.get(word, word) if data.draw(st.booleans()) else word for word in destination]
    before, after = clip(" ".join(source)), clip(" ".join(destination))
    with_ends = [encoded.tokens[: encoded.words[-1] + 2 if encoded.words else 2] for encoded in (before, after)]
    assert align(before, after) == published_rule(*with_ends)


def clip_pieces():
    """Prompt to pieces, with CLIP's own vocabulary where a ComfyUI brings it, else with the pocket model's."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from edit_assumption.pocket import WEIGHTS

    folders = [folder / "comfy/sd1_tokenizer" for folder in installed_hosts()]
    tokenizer = transformers.CLIPTokenizer.from_pretrained([*folders, WEIGHTS / "tokenizer"][0])
    return lambda text: tokenizer.convert_ids_to_tokens(tokenizer(text, truncation=True)["input_ids"])[1:-1]


@pytest.mark.skipif(TIMED is None, reason="set TIMED_PATH to a folder with TIMED's sets")
@pytest.mark.parametrize(("name", "least"), [("TIMED_validation_set.csv", 83), ("TIMED_gender_test_set.csv", 245)])
def test_timed_is_aligned_by_the_published_rule(name, least):
    """Every source sentence onto its destination, written as the sets write them or with the destination put in."""
    pieces = clip_pieces()
    with (Path(TIMED) / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = [(row["old"], row["new"]) for row in rows]
    for row in rows:
        meant = {"positive": "gt", "negative": "gn"}
        for key, text in row.items():
            kind = key.rstrip("12345")
            if kind in meant:
                pairs.append((text, row[key.replace(kind, meant[kind])]))
            elif kind in ("validation", "ex"):
                pairs.append((text, text.replace(row["old"], row["new"])))
    compared = 0
    for source, destination in pairs:
        ours, theirs = pieces(source), pieces(destination)
        if contained(ours, theirs):
            compared += 1
            assert align_words(ours, theirs) == published_rule(ours, theirs)[: len(ours)], (source, destination)
    assert compared >= least


def filled(*words, length=9):
    tokens = ("<s>", *words, "</s>", *["<pad>"] * (length - len(words) - 2))
    return EncodedPrompt(tokens, (Chunk(0, range(1, 1 + len(words)), length),), torch.zeros(length, 4))


def test_in_place_padding_answers_to_the_words_that_stand_there():
    source, destination = filled("a", "wizard"), filled("a", "wizard", "with", "a", "hat")
    assert align(source, destination, in_place=True) == list(range(9))
    assert align(source, destination) == [0, 1, 2, 6, 7, 8, 8, 8, 8]


@pytest.mark.parametrize(
    "destination",
    [
        filled("a", "wizard", "with", "a", "hat", length=10),
        filled("a", "wizard", "with", "a", "hat", length=7),
        filled("an", "old", "wizard"),
    ],
    ids=["another length", "no padding", "before the noun"],
)
def test_in_place_is_for_destinations_that_go_on(destination):
    source = filled("a", "wizard")
    assert align(source, destination, in_place=True) == align(source, destination)
