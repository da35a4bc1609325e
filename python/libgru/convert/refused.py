"""The one exception that a user sees: a sentence."""


class Refused(Exception):
    """What cannot be read, or cannot be written exactly. The text names the place and the value."""
