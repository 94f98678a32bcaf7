"""The one exception that means "the user can fix this": its text is the line that they see."""


class InputError(Exception):
    """Bad input. The message is one line: the file or key, what is wrong, and what to do about it."""
