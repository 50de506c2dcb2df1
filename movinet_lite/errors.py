"""The exceptions of the library.

::

    MoViNetError(Exception)                  one except clause for all of them
    ├── ArrayError(ValueError)               a frame, clip, logits or states of the wrong shape, dtype or range
    ├── LabelsError(ValueError)              labels empty, repeated, unknown, or not as many as classes
    ├── DataError(ValueError)                examples to learn from or to evaluate on are missing or do not fit
    ├── VariantError(ValueError)             an unknown variant, or a combination that does not exist
    ├── VideoError(OSError)                  a video cannot be opened, decoded or written
    │   ├── VideoNotFoundError(FileNotFoundError)
    │   └── LiveSourceError(VideoError)      a live source cannot be opened, or a clip of it cannot be written
    ├── ModelError(RuntimeError)             a model cannot be found, fetched, read, or is not what was asked for
    ├── SessionError(RuntimeError)           frame size changed, session closed, foreign states, two threads
    ├── ConversionError(RuntimeError)        a model did not compile, or the compiled one computes something else
    ├── PageError(OSError)                   the page of a watcher cannot be served
    └── MissingDependencyError(ImportError)  a package is not installed

Each is also the built-in exception that fits, so ``except FileNotFoundError`` and ``except MoViNetError`` both work.
A message says the rule, what came, and what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = [
    "ArrayError",
    "ConversionError",
    "DataError",
    "LabelsError",
    "LiveSourceError",
    "MissingDependencyError",
    "MoViNetError",
    "ModelError",
    "PageError",
    "SessionError",
    "VariantError",
    "VideoError",
    "VideoNotFoundError",
]

_LONGEST_QUOTE: Final = 300


class MoViNetError(Exception):
    """Base of every exception that the library raises on purpose.

    All arguments are positional and kept in ``args``, so that each error survives pickling; the text comes from
    ``__str__``.
    """

    def __init__(self, message: str, *fields: object) -> None:
        super().__init__(message, *fields)
        self.message = message

    def __str__(self) -> str:
        """Return the message alone."""
        return self.message


class ArrayError(MoViNetError, ValueError):
    """A frame, a clip, logits or scores have the wrong shape, dtype or range."""


class LabelsError(MoViNetError, ValueError):
    """Labels are empty, repeated or unknown, or not as many as the model has classes.

    Attributes:
        path: The file the labels came from; `None` if they came from no file.
        line: The line of the file at fault, counted from 1; `None` if no single line is.
    """

    def __init__(
        self, message: str, path: str | Path | None = None, line: int | None = None
    ) -> None:
        super().__init__(message, path, line)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        """Return the message behind the path and line, as compilers print them."""
        if self.path is None:
            return self.message
        where = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.message}"


class DataError(MoViNetError, ValueError):
    """Examples to learn from or to evaluate on are missing, or do not fit the model or the options.

    Attributes:
        path: The folder or file they came from; empty if from none.
    """

    def __init__(self, message: str, path: str | Path = "") -> None:
        super().__init__(message, path)
        self.path = path

    def __str__(self) -> str:
        """Return the message behind the path."""
        return f"{self.path}: {self.message}" if str(self.path) else self.message


class VariantError(MoViNetError, ValueError):
    """A variant is unknown, or does not exist in the mode asked for.

    Attributes:
        name: What was asked for.
        known: The names that exist.
    """

    def __init__(
        self, message: str, name: str = "", known: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, name, known)
        self.name = name
        self.known = known


class VideoError(MoViNetError, OSError):
    """A video cannot be opened, decoded or written.

    Attributes:
        path: The file.
    """

    def __init__(self, message: str, path: str | Path = "") -> None:
        super().__init__(message, path)
        # OSError takes the first of two arguments for the number of an error.
        self.errno = None
        self.strerror = message
        self.path = path

    def __str__(self) -> str:
        """Return the message behind the path."""
        return f"{self.path}: {self.message}" if str(self.path) else self.message


class VideoNotFoundError(VideoError, FileNotFoundError):
    """There is no video at the path given."""


class LiveSourceError(VideoError):
    """A live source cannot be opened, or a clip of it cannot be written.

    A camera that is off or a connection that is lost is no error but a state of the source.

    Attributes:
        path: The name of the source, without credentials.
    """


class ModelError(MoViNetError, RuntimeError):
    """A model cannot be found, fetched or read, or is not what was asked for.

    Attributes:
        source: Where the model was to come from.
        expected: What the library needed, where that is one thing.
        received: What it found in its place.
    """

    def __init__(
        self,
        message: str,
        source: str | Path = "",
        expected: object = None,
        received: object = None,
    ) -> None:
        super().__init__(message, source, expected, received)
        self.source = source
        self.expected = expected
        self.received = received

    def __str__(self) -> str:
        """Return the message behind the source."""
        return f"{self.source}: {self.message}" if str(self.source) else self.message


class SessionError(MoViNetError, RuntimeError):
    """A session was used in a way that would mix up its states.

    It is closed, or in use by another thread, or the size of the frames changed, or the states set do not belong to
    its model.
    """


class ConversionError(MoViNetError, RuntimeError):
    """A model did not compile, or the compiled model computes something else than its source."""


class PageError(MoViNetError, OSError):
    """The page of a watcher cannot be served: its port is taken, or it would lie open."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # OSError takes the first of two arguments for the number of an error.
        self.errno = None
        self.strerror = message


class MissingDependencyError(MoViNetError, ImportError):
    """A package is needed and not installed.

    Attributes:
        package: The package that is missing.
        extra: The extra of ``movinet-lite`` that installs it; empty if none does.
    """

    def __init__(self, package: str, extra: str = "") -> None:
        wanted = f"'movinet-lite[{extra}]'" if extra else package
        message = (
            f"this needs the package {package!r}, which is not installed; "
            f"install it with: pip install {wanted}"
        )
        super().__init__(message)
        self.args = (package, extra)  # what pickle calls the class with
        self.package = package
        self.extra = extra


def said_by(error: BaseException) -> str:
    r"""Return what an exception of another library says, in one line of at most 300 characters, to quote it.

    Not its first line alone: of an error while TensorFlow runs a graph that one is only "Graph execution error:".

    Example:
        >>> said_by(ValueError("Graph execution error:\n\n  no such kernel\n"))
        'Graph execution error: no such kernel'
        >>> said_by(KeyboardInterrupt())
        'KeyboardInterrupt'
    """
    said = " ".join(str(error).split()) or type(error).__name__
    if len(said) <= _LONGEST_QUOTE:
        return said
    return f"{said[: _LONGEST_QUOTE - 3]}..."
