"""The pocket model's world: what is drawn, what is said of it, which words it has."""

import random
import re
from collections import Counter

import numpy as np
import pytest
from edit_assumption.pocket.captions import SEVERAL, Words, caption, random_sample, random_words
from edit_assumption.pocket.dataset import pictures
from edit_assumption.pocket.people import ROLE_PARTS
from edit_assumption.pocket.scenes import Scene, assumed, draw_scene, random_scene
from edit_assumption.pocket.things import DRAWINGS
from edit_assumption.pocket.words import ALL, ATTRIBUTES, ROLES, THINGS

ROSE, WIZARD = ALL["rose"], ALL["wizard"]


def plain_scene(thing, **values):
    return Scene(thing.name, {**{name: assumed(thing, name) for name in thing.attributes}, **values})


def drawn(scene):
    return np.asarray(draw_scene(scene, random.Random(0)), dtype=int)


def test_there_is_enough_of_everything():
    assert len(THINGS) >= 30 and len(ROLES) >= 10 and len(ATTRIBUTES) >= 6
    assert {thing.name for thing in THINGS} == set(DRAWINGS)
    assert {role.name for role in ROLES} == set(ROLE_PARTS)
    for thing in ALL.values():
        assert all(getattr(thing, name) in ATTRIBUTES[name] for name in thing.attributes)
        assert ("hat" in thing.attributes) == (thing in ROLES)
    assert {role.hat for role in ROLES} == {"hat", "bare"}


def test_every_thing_and_every_value_looks_different():
    seen = [drawn(plain_scene(thing, colour="blue", place="field", time="day", size="large")) for thing in ALL.values()]
    for number, picture in enumerate(seen):
        assert all(np.abs(picture - other).mean() > 1 for other in seen[:number])
    for name in WIZARD.attributes:
        values = [drawn(plain_scene(WIZARD, **{name: value})) for value in ATTRIBUTES[name]]
        assert all(np.abs(a - b).mean() > 1 for n, a in enumerate(values) for b in values[:n]), name


@pytest.mark.parametrize("thing", [ROSE, WIZARD], ids=lambda thing: thing.name)
@pytest.mark.parametrize("plural", [False, True])
def test_what_is_not_named_is_mostly_as_assumed(thing, plural):
    chance = random.Random(1)
    scenes = [random_scene(chance, thing, (), plural) for _ in range(2000)]
    for name in thing.attributes:
        share = sum(scene.values[name] == assumed(thing, name, plural) for scene in scenes) / len(scenes)
        if name == "number" and not plural:
            assert share == 1
        else:
            assert 0.85 < share < 0.95, name


def test_what_is_named_is_drawn_evenly():
    chance = random.Random(1)
    counts = Counter(random_scene(chance, ROSE, {"colour"}, False).values["colour"] for _ in range(1800))
    assert set(counts) == set(ATTRIBUTES["colour"])
    assert all(140 < count < 260 for count in counts.values())


@pytest.mark.parametrize(
    ("thing", "named", "words", "text"),
    [
        ("rose", {}, Words(), "a rose"),
        ("rose", {}, Words(plural=True, several="a pack of"), "a pack of roses"),
        ("apple", {"colour": "blue"}, Words(), "a blue apple"),
        ("apple", {}, Words(frame="a photo of {}"), "a photo of an apple"),
        ("cherry", {"number": "three", "size": "small", "pattern": "dotted"}, Words(), "three small dotted cherries"),
        ("rose", {"colour": "blue", "time": "night"}, Words(behind=True), "a rose that is blue at night"),
        ("rose", {"colour": "blue"}, Words(behind=True, plural=True), "roses that are blue"),
        ("wizard", {"hat": "bare", "place": "snow"}, Words(front=True), "in the snow a wizard without a hat"),
    ],
)
def test_captions_say_it_in_words(thing, named, words, text):
    assert caption(ALL[thing], named, words) == text


def test_a_caption_names_what_the_picture_shows():
    chance = random.Random(2)
    for _ in range(300):
        sample = random_sample(chance)
        text = f" {sample.caption(random_words(chance))} "
        thing = ALL[sample.scene.thing]
        assert (f" {thing.plural} " in text) == sample.plural and (f" {thing.name} " in text) != sample.plural
        assert all(sample.scene.values[name] == value for name, value in sample.said.items())
        colours = set(ATTRIBUTES["colour"]) & set(text.split())
        assert colours == ({sample.said["colour"]} if "colour" in sample.said else set())
        assert not any(several in text for several in SEVERAL[2:]) or sample.scene.values["number"] != "one"


def test_the_same_number_is_the_same_sample():
    (first, said), (again, said_again) = pictures("seed", range(4)), pictures("seed", range(4))
    assert (first == again).all() and said == said_again
    assert first.shape == (4, 3, 48, 48) and first.min() >= -1 and first.max() <= 1
    assert not (pictures("other", range(4))[0] == first).all()


def test_every_word_is_one_token(tmp_path):
    tokenizer_module = pytest.importorskip("edit_assumption.pocket.tokenizer", reason="transformers is not installed")
    tokenizer = tokenizer_module.write_tokenizer(tmp_path)
    words = tokenizer_module.known_words()
    assert len(words) > 100
    assert all(len(tokenizer(word)["input_ids"]) == 3 for word in words)
    chance = random.Random(3)
    for _ in range(300):
        text = random_sample(chance).caption(random_words(chance))
        assert len(tokenizer(text)["input_ids"]) == 2 + len(re.findall("[a-z]+", text)) <= tokenizer_module.LENGTH
    assert tokenizer_module.unknown_words("a blue rose") == {}
    assert tokenizer_module.unknown_words("a bluu rose and xqz")["bluu"][0] == "blue"
    assert set(tokenizer_module.unknown_words("a bluu rose of xqz")) == {"bluu", "xqz"}
