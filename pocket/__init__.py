"""A small text-to-image model with assumptions built in on purpose, the code that trains it, and a judge of its pictures."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
"""Where the trained model lies."""
