"""The one exception that users are meant to read."""


class EditError(ValueError):
    """Something about the request cannot be done; the message is one plain sentence that says what to do instead."""
