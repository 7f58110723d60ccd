"""Captions are read as they were written."""

import random

import pytest
from edit_assumption.pocket.captions import random_sample, random_words
from edit_assumption.pocket.reading import named_in, shown_among


def test_what_a_caption_names_is_read_off_its_words():
    chance = random.Random(1)
    for _ in range(500):
        sample = random_sample(chance)
        named = {name: value for name, value in sample.said.items() if not (name == "number" and value == "one")}
        assert named_in(sample.caption(random_words(chance))) == {"thing": sample.scene.thing, **named}


@pytest.mark.parametrize(
    ("shown", "place"),
    [
        ({"thing": "rose", "colour": "blue", "size": "large"}, 2),
        ({"thing": "rose", "colour": "blue", "size": "small"}, 1),
        ({"thing": "rose", "colour": "red", "size": "large"}, 0),
        ({"thing": "cat", "colour": "red", "size": "large"}, None),
    ],
)
def test_a_picture_shows_the_caption_that_says_most_of_it(shown, place):
    assert shown_among(shown, ["a rose", "a blue rose", "a large blue rose", "something else"]) == place
