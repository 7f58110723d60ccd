"""The one exception that users are meant to read."""


class EditError(ValueError):
    """Something about the request cannot be done; the message is one plain sentence that says what to do instead."""


class UnknownModelError(EditError):
    """No text enters this model in a place that is known; hosts add what can be done about it there."""
