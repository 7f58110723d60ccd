"""Texts that are made of what lines give a meaning to, for tests that read back what was written."""

from hypothesis import strategies as st

PIECES = ["->", "-", ">", "#", "@", "*", "=", "!", "|", "\\", "(", ")", ":", ",", "{}", " ", "\t", "\n", "\xa0", "\u2028"]
PIECES += ["none", "blocks:", "@ 0.5", "* 2", "1e3", "(rose:1.2)", "ü", "薔薇", "🌹", "e\u0301", "\u200b", "\0"]
PIECES += ["→", "=>", "—", "~", "<", " - > ", "-->", "\r", "\ufeff"]

texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=7).map("".join)
