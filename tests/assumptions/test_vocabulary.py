"""The words of a tokenizer's vocabulary, of each kind of tokenizer."""

from edit_assumption.editing.vocabulary import whole_words
from edit_assumption.pocket import WEIGHTS
from edit_assumption.pocket.tokenizer import known_words
from transformers import CLIPTokenizer


def test_whole_words_of_each_kind_of_tokenizer():
    clip = {"a</w>": 0, "the</w>": 3, "ros": 2, "cafÃ©</w>": 5, "rose</w>": 4, "!</w>": 6, "<|endoftext|>": 7, "ing</w>": 1}
    assert whole_words(clip) == ("ing", "the", "rose", "café")
    assert whole_words(clip, 2) == ("ing", "the")
    assert whole_words({"▁rose": 2, "rose": 0, "▁Haus": 1, "▁": 3, "▁7": 4}) == ("Haus", "rose")
    assert whole_words({"Ġrose": 1, "ĠRose": 2, "Rose": 0, "ĠÃ¼ber": 3, "ĠÃ": 4}) == ("rose", "über")


def test_the_pocket_models_vocabulary_is_what_it_knows():
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    words = whole_words(tokenizer.get_vocab())
    assert {word for word in known_words() if len(word) > 1} <= set(words)
    assert all(len(ids) == 3 for ids in tokenizer(list(words))["input_ids"])
