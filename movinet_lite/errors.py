"""The exceptions of the library.

::

    MoViNetError(Exception)                  one except clause for all of them
    ├── ArrayError(ValueError)               a frame, clip, logits or states of the wrong shape, dtype or range
    ├── LabelsError(ValueError)              labels empty, repeated, unknown, or of the wrong number
    ├── DataError(ValueError)                training or evaluation examples are missing or do not fit
    ├── VariantError(ValueError)             an unknown variant, or a combination that does not exist
    ├── VideoError(OSError)                  a video cannot be opened, decoded or written
    │   ├── VideoNotFoundError(FileNotFoundError)
    │   └── LiveSourceError(VideoError)      a live source cannot be opened, or a clip of it cannot be written
    ├── ModelError(RuntimeError)             a model cannot be found, downloaded or read, or is of another kind
    ├── SessionError(RuntimeError)           frame size changed, session closed, foreign states, two threads
    ├── ConversionError(RuntimeError)        a model cannot be compiled, or the compiled one computes other results
    ├── ClusterError(RuntimeError)           a cluster cannot be reached, or its actors do not start
    ├── PageError(OSError)                   the page of a watcher cannot be served
    └── MissingDependencyError(ImportError)  a package is not installed

Each is also the built-in exception that fits, so ``except FileNotFoundError`` and ``except MoViNetError`` both work.
A message states the rule, what was found, and what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = [
    "ArrayError",
    "ClusterError",
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

    All arguments are positional and stored in ``args``, so that errors can be pickled; ``__str__`` builds the text.
    """

    def __init__(self, message: str, *fields: object) -> None:
        super().__init__(message, *fields)
        self.message = message

    def __str__(self) -> str:
        """Return the message."""
        return self.message


class ArrayError(MoViNetError, ValueError):
    """A frame, a clip, logits or scores have the wrong shape, dtype or range."""


class LabelsError(MoViNetError, ValueError):
    """Labels are empty, repeated or unknown, or their number is not that of the model's classes.

    Attributes:
        path: The file of the labels; `None` if they are not from a file.
        line: The line of the file, counted from 1; `None` if the error does not concern a single line.
    """

    def __init__(
        self, message: str, path: str | Path | None = None, line: int | None = None
    ) -> None:
        super().__init__(message, path, line)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        """Return the message after the path and line, in the format of compilers."""
        if self.path is None:
            return self.message
        where = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.message}"


class DataError(MoViNetError, ValueError):
    """Training or evaluation examples are missing, or do not fit the model or the options.

    Attributes:
        path: Their folder or file; empty if there is none.
    """

    def __init__(self, message: str, path: str | Path = "") -> None:
        super().__init__(message, path)
        self.path = path

    def __str__(self) -> str:
        """Return the message after the path."""
        return f"{self.path}: {self.message}" if str(self.path) else self.message


class VariantError(MoViNetError, ValueError):
    """A variant is unknown, or does not exist in the requested mode.

    Attributes:
        name: The requested name.
        known: The valid names.
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
        # OSError interprets the first of two arguments as an error number.
        self.errno = None
        self.strerror = message
        self.path = path

    def __str__(self) -> str:
        """Return the message after the path."""
        return f"{self.path}: {self.message}" if str(self.path) else self.message


class VideoNotFoundError(VideoError, FileNotFoundError):
    """There is no video at the given path."""


class LiveSourceError(VideoError):
    """A live source cannot be opened, or a clip of it cannot be written.

    A camera that is off or a lost connection is a state of the source, not an error.

    Attributes:
        path: The name of the source, without credentials.
    """


class ModelError(MoViNetError, RuntimeError):
    """A model cannot be found, downloaded or read, or is not of the expected kind.

    Attributes:
        source: The name, address or path of the model.
        expected: What the library expected, if that is a single thing.
        received: What it found instead.
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
        """Return the message after the source."""
        return f"{self.source}: {self.message}" if str(self.source) else self.message


class SessionError(MoViNetError, RuntimeError):
    """A session was used in a way that would corrupt its states.

    It is closed or in use by another thread, the size of the frames changed, or the given states do not belong to its
    model.
    """


class ConversionError(MoViNetError, RuntimeError):
    """A model cannot be compiled, or the compiled model computes other results than its source."""


class ClusterError(MoViNetError, RuntimeError):
    """A cluster cannot be reached, or its actors do not start.

    Attributes:
        address: The address of the cluster; empty if none was given.
    """

    def __init__(self, message: str, address: str = "") -> None:
        super().__init__(message, address)
        self.address = address

    def __str__(self) -> str:
        """Return the message after the address."""
        return f"{self.address}: {self.message}" if self.address else self.message


class PageError(MoViNetError, OSError):
    """The page of a watcher cannot be served: its port is in use, or it would be open to others."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # OSError interprets the first of two arguments as an error number.
        self.errno = None
        self.strerror = message


class MissingDependencyError(MoViNetError, ImportError):
    """A required package is not installed.

    Attributes:
        package: The missing package.
        extra: The extra of ``movinet-lite`` that installs it; empty if there is none.
    """

    def __init__(self, package: str, extra: str = "") -> None:
        wanted = f"'movinet-lite[{extra}]'" if extra else package
        message = (
            f"this requires the package {package!r}, which is not installed; "
            f"install it with: pip install {wanted}"
        )
        super().__init__(message)
        self.args = (package, extra)  # the arguments that pickle calls the class with
        self.package = package
        self.extra = extra


def said_by(error: BaseException) -> str:
    r"""Return the message of another library's exception on one line of at most 300 characters.

    All lines are joined, since the first line of TensorFlow's errors may only be "Graph execution error:".

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
