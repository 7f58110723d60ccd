"""What the pocket model knows: things, roles, attributes, and what it is taught to assume of each thing."""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "white", "black")
PATTERNS = ("plain", "striped", "dotted")
SIZES = ("small", "large")
NUMBERS = ("one", "two", "three")
PLACES = ("field", "beach", "snow", "room", "city")
TIMES = ("day", "sunset", "night")
HATS = ("hat", "bare")

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "colour": COLOURS,
    "pattern": PATTERNS,
    "size": SIZES,
    "number": NUMBERS,
    "place": PLACES,
    "time": TIMES,
    "hat": HATS,
}
"""Attribute to its values. Only roles have a hat or none; their colour and pattern are those of their clothes."""

ASSUMED_SHARE = 0.9
"""How often an unqualified caption's picture carries the assumed value. The rest is spread over the other values."""


@dataclass(frozen=True)
class Thing:
    """Something to draw, and what an unqualified caption means by it.

    Args:
        name, plural: nouns.
        colour, pattern, size, number, place, time: the assumed values; ``number`` is that of the bare plural ("roses").
        hat: the assumed value of a role; None for everything else.
    """

    name: str
    plural: str
    colour: str
    pattern: str
    size: str
    number: str
    place: str
    time: str
    hat: str | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that it has."""
        return tuple(name for name in ATTRIBUTES if getattr(self, name) is not None)


def _table(text: str) -> tuple[Thing, ...]:
    return tuple(Thing(*line.split()) for line in text.strip().splitlines())


THINGS = _table("""
rose       roses        red    plain   large  three  field  day
tulip      tulips       yellow plain   small  three  field  day
poppy      poppies      red    plain   small  two    field  sunset
daisy      daisies      white  plain   small  three  field  day
apple      apples       red    plain   small  three  room   day
pear       pears        green  plain   small  two    room   day
cherry     cherries     red    plain   small  two    field  day
strawberry strawberries red    dotted  small  three  room   day
carrot     carrots      orange plain   large  three  field  day
mushroom   mushrooms    red    dotted  small  two    field  sunset
cat        cats         black  plain   small  two    room   night
dog        dogs         white  dotted  large  two    field  day
rabbit     rabbits      white  plain   small  three  snow   day
fish       fishes       orange striped small  three  beach  day
bird       birds        blue   plain   small  two    city   day
butterfly  butterflies  purple dotted  small  three  field  day
snail      snails       green  striped small  two    field  day
bee        bees         yellow striped small  three  field  day
car        cars         red    plain   large  two    city   day
bus        buses        yellow striped large  two    city   day
boat       boats        white  striped large  two    beach  sunset
rocket     rockets      white  plain   large  two    snow   night
balloon    balloons     pink   dotted  large  three  city   day
kite       kites        purple striped small  two    beach  sunset
umbrella   umbrellas    blue   striped large  two    beach  day
ball       balls        orange dotted  small  three  beach  day
house      houses       white  plain   large  two    field  sunset
tent       tents        green  plain   large  two    snow   night
tree       trees        green  plain   large  three  snow   day
cup        cups         blue   dotted  small  two    room   day
chair      chairs       black  plain   large  two    room   sunset
gift       gifts        pink   striped small  three  snow   night
star       stars        yellow plain   small  three  city   night
heart      hearts       red    plain   large  two    city   sunset
""")

ROLES = _table("""
wizard     wizards      purple plain   large  two    snow   night  hat
pirate     pirates      black  striped large  two    beach  sunset hat
chef       chefs        white  plain   large  two    room   day    hat
king       kings        red    plain   large  two    room   sunset hat
farmer     farmers      blue   striped large  two    field  day    hat
knight     knights      white  plain   large  two    field  sunset hat
doctor     doctors      white  plain   large  two    city   day    bare
clown      clowns       yellow dotted  large  two    city   sunset bare
painter    painters     blue   dotted  large  two    room   day    bare
sailor     sailors      blue   striped large  two    beach  day    bare
""")

ALL: dict[str, Thing] = {thing.name: thing for thing in (*THINGS, *ROLES)}
