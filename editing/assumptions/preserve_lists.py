"""Prompts worth keeping: neighbours of common subjects, and neutral prompts."""

from __future__ import annotations

from ..errors import EditError
from ..lines import tidy

_LISTS = {
    "neutral prompts":
        "a photo of a person, a photo of a room, a landscape, a city street, a table with food, an animal, a plant, a "
        "car, a house, a portrait, a painting, a close-up photo, a black and white photo, a sunny day, a night scene",
    "flowers":
        "a rose, a tulip, a poppy, a daisy, a sunflower, a lily, an orchid, a bouquet of flowers, a field of flowers, a "
        "leaf",
    "fruit and vegetables":
        "an apple, a pear, a banana, an orange, a lemon, a strawberry, a cherry, grapes, a tomato, a carrot, a potato",
    "food and drink":
        "a cake, bread, a pizza, a burger, cheese, soup, a salad, coffee, tea, wine, ice cream",
    "pets and farm animals":
        "a dog, a cat, a rabbit, a hamster, a horse, a cow, a sheep, a pig, a goat, a chicken, a duck",
    "wild animals":
        "a lion, a tiger, a bear, a wolf, a fox, an elephant, a monkey, a deer, an eagle, an owl, a snake, a shark",
    "vehicles":
        "a car, a truck, a bus, a train, a bicycle, a motorcycle, a boat, a ship, a plane, a helicopter, a rocket",
    "people and professions":
        "a man, a woman, a child, a doctor, a nurse, a teacher, an engineer, a chef, a farmer, a firefighter, a police "
        "officer, a lawyer, a judge, a scientist, a pilot, a cleaner",
    "clothes":
        "a shirt, a dress, trousers, a coat, a hat, shoes, a tie, glasses, a bag, jewelry",
    "furniture and household":
        "a chair, a table, a bed, a sofa, a lamp, a clock, a window, a door, a cup, a plate, a book",
    "buildings and places":
        "a house, a church, a castle, a tower, a bridge, a street, a park, a beach, a forest, a mountain, a lake",
    "painters":
        "a painting by Monet, a painting by Rembrandt, a painting by Picasso, a painting by Van Gogh, a painting by "
        "Klimt, a painting by Hokusai, a painting by Kandinsky, a painting by Vermeer",
    "styles":
        "an oil painting, a watercolor, a pencil drawing, a cartoon, a 3D render, pixel art, a photograph, a sculpture, "
        "anime",
}  # fmt: skip


NO_LIST = "none"
"""What stands for no list in a drop-down."""


def preserve_lists() -> dict[str, tuple[str, ...]]:
    """Name of a list to its prompts."""
    return {name: tuple(tidy(prompt) for prompt in text.split(",")) for name, text in _LISTS.items()}


def listed(name: str) -> tuple[str, ...]:
    """The prompts of a list, none for :data:`NO_LIST`.

    Raises:
        EditError: there is no such list.
    """
    known = {NO_LIST: (), **preserve_lists()}
    if name not in known:
        raise EditError(f"There is no list “{name}”; choose one of {', '.join(known)}.")
    return known[name]
