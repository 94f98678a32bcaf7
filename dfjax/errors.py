"""The exceptions that mean "the user can fix this": their text is the line that they see."""

from pathlib import Path


class InputError(Exception):
    """Bad input. The message is one line: the file or key, what is wrong, and what to do about it."""


class FileError(InputError):
    """A file that cannot be used.

    Attributes:
        path: the file, as its name was given.
        fault: what is wrong with it, and what to do.
    """

    def __init__(self, path: Path | str, fault: str):
        super().__init__(path, fault)
        self.path, self.fault = Path(path), fault

    def __str__(self) -> str:
        return f'{self.args[0]}: {self.fault}'


class ReadError(FileError):
    """A file that is missing, damaged, or none of what was asked for."""


class WriteError(FileError):
    """A file that cannot be written."""
