"""Ordinary captions: plain English, always the same, and every subject in them."""

import re

from edit_assumption.editing.ordinary_captions import generated_captions, ordinary_captions

ARTICLE = re.compile(r"\b(an?) (\w)")


def test_every_subject_stands_by_itself_and_in_a_scene():
    captions = ordinary_captions()
    assert len(captions) == len(set(captions)) == 302
    bare, scenes = captions[:151], captions[151:]
    assert bare[:2] == ("a man", "a woman") and bare[18] == "an astronaut" and "an umbrella" in bare
    assert scenes[:2] == ("a red man in a field", "a photo of an orange woman in a room")
    assert scenes[4] == "a wooden child by the sea, highly detailed"
    for subject, scene in zip(bare, scenes, strict=True):
        assert re.search(rf"\b{subject.split()[1]}\b", scene)


def test_scenes_have_all_looks_and_all_places():
    scenes = " | ".join(ordinary_captions()[151:])
    for words in ("golden", "colorful", "in the rain", "under a blue sky", "by day", "oil on canvas", "portrait of"):
        assert words in scenes


def test_generated_captions_begin_with_the_ordinary_ones():
    captions = generated_captions(400)
    assert captions[:302] == ordinary_captions() and len(captions) == len(set(captions)) == 400
    assert captions[:10] == generated_captions(10) and captions[:350] == generated_captions(350)
    # Figures in the documentation are of these very captions.
    assert captions[302:304] == ("a red flower by the sea, oil on canvas", "a black mountain by the sea, oil on canvas")
    assert captions[304] == "a drawing of an old student in front of a house"


def test_articles_fit_the_words_behind_them():
    for article, letter in ARTICLE.findall(" ".join(generated_captions(1000))):
        assert (article == "an") == (letter in "aeiou")
