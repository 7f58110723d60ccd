"""A small text-to-image model of the project's own, with assumptions built in on purpose: its roses are red."""
