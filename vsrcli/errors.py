"""The errors that a caller of vsr can meet.

::

    VsrError            anything vsr refuses or fails at, with a message meant for the user
    |-- InputError      the source cannot be opened, read or decoded as asked
    |-- OutputError     the target cannot be written as asked
    |-- ModelError      a network or checkpoint is missing, damaged or of another kind
    |-- BackendError    the device or inference library cannot do the work
    |   `-- OutOfMemory   ... because it has no memory for a picture of that size
    `-- OptionError     a value of an option makes no sense

Each is raised in the file that owns the foreign library, ``from`` the foreign error. A message is
one line: the value, the file, and a way out.
"""


class VsrError(Exception):
    """Base of every error that vsr raises on purpose; ``str(error)`` is one line for the user."""


class InputError(VsrError):
    """The source is missing, unreadable, damaged or not a video."""


class OutputError(VsrError):
    """The target cannot be written: folder, permission, space, container or codec."""


class ModelError(VsrError):
    """A model or checkpoint is unknown, damaged, unsafe or does not fit."""


class BackendError(VsrError):
    """A device or an inference library is missing or failed (out of memory included)."""


class OutOfMemory(BackendError):
    """There is no memory for a picture of that size; a smaller part of it may fit."""


class OptionError(VsrError):
    """An option has a value that makes no sense, alone or beside another one."""
