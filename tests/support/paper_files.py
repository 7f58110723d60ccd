"""A tiny file of each format that ``evaluate --data`` reads, of things that the pocket model draws."""

import csv

FILES = {
    "TIMED": (
        ["old", "new", "positive1", "gt1", "positive2", "gt2", "negative1", "gn1", "negative2", "gn2"],
        [
            ["a rose", "a blue rose", "a painting of a rose", "a painting of a blue rose", "a rose in the snow",
             "a blue rose in the snow", "a tulip", "a blue tulip", "a cat", "a blue cat"],
            ["a car", "a red car", "a photo of a car", "a photo of a red car", "a car at night", "a red car at night",
             "a bus", "a red bus", "a boat", "a red boat"],
        ],
    ),
    "RoAD": (
        ["Type", "Prompt", "Oracle", "Old", "New", "Positive1", "Positive_old1", "Positive_new1", "Negative1", "Negative_new1"],
        [["Role", "a wizard", "a wizard with a hat", "a red wizard", "a blue wizard", "a wizard at night",
          "a red wizard at night", "a blue wizard at night", "a cat", "a blue cat"]],
    ),
    "gender": (
        ["female", "male", "old", "new", "validation", "ex1", "ex2"],
        [[f"a {role} with a hat", f"a {role} without a hat", f"a {role}", f"a {role} without a hat", f"a photo of a {role}",
          f"a painting of a {role}", f"a {role} at night"] for role in ("wizard", "doctor")],
    ),
    "artists": (
        ["", "case_number", "prompt", "evaluation_seed", "artist", "type"],
        [[0, 0, "a painting of a rose", 7, "rose", "erased"], [1, 1, "a painting of a cat", 8, "cat", "erased"],
         [2, 2, "a photo of a dog", 9, "dog", "preserved"], [3, 3, "a drawing of a car", 11, "car", "holdout"],
         [4, 4, "a photo of a car", 12, "car", "holdout"]],
    ),
    "professions": (
        ["case_number", "prompt", "evaluation_seed", "profession"],
        [[0, "a photo of doctor", 3, "doctor"], [1, "a picture of doctor", 4, "doctor"], [2, "a photo of poet", 5, "poet"]],
    ),
    "own": (
        ["source", "destination", "related1", "related2", "oracle2", "unrelated1", "other1"],
        [["a rose", "a blue rose", "a painting of a rose", "some roses", "some blue roses", "a tulip", "a blue tulip"],
         ["a cat", "a striped cat", "a cat at night", "", "", "a house", ""]],
    ),
}  # fmt: skip


def write(folder, name, rows=None, columns=None):
    """One of them, or a file of one's own."""
    own_columns, own_rows = FILES.get(name, (columns, rows)) if rows is None else (columns, rows)
    path = folder / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([own_columns, *own_rows])
    return path
