"""The exceptions that users are meant to read."""


class EditError(ValueError):
    """Something about the request cannot be done; the message is one plain sentence that says what to do instead."""


class PackedWeightsError(EditError):
    """A weight is stored in a form that only its loader can read; an edit may act all the same."""


class UnknownModelError(EditError):
    """No text enters this model in a place that is known; hosts add what can be done about it there."""
