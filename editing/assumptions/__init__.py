"""Edits of cross-attention: TIME's closed form and this project's additions, from a recipe's text to maps of the context."""
