"""What vue-i18n takes for marks of its own in a translation, and how a text escapes them."""

import re

LITERAL = re.compile(r"\{'[^']*'\}")
"""How a text says that such a mark is meant as it is."""
MARKS = re.compile(r"[@{}|]")
