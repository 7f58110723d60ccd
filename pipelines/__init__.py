"""The same edits outside of a user interface: a Python API and the command line."""
