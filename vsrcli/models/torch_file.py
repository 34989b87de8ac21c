"""Files of ``torch.save``, read as data: no code, and no more memory than the file has bytes.

The pickle in such a file is a program. PyTorch's own reader runs no foreign code, but a few bytes
of it can still ask for any amount of memory. So only the few functions are accepted that rebuild a
tensor, and what is checked is what is read: an archive is copied first.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from vsrcli.errors import ModelError
from vsrcli.models.weights import MAX_BYTES, too_large

_MAX_ENTRIES = 10_000
_STORAGES = (
    "BFloat16",
    "Bool",
    "Byte",
    "Char",
    "Double",
    "Float",
    "Half",
    "Int",
    "Long",
    "Short",
)
_ALLOWED_GLOBALS = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_tensor_v2",
        *(f"torch {kind}Storage" for kind in _STORAGES),
    }
)
# These name a function by values on the stack, which PyTorch does not write.
_REFUSED_OPCODES = ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4")
# An old file starts with as many: magic number, version, machine, content, names of the storages.
_OLD_PICKLES = 5


def read_tensors(path: Path) -> Any:
    """Read a file of ``torch.save`` that holds only tensors and plain values.

    Raises:
        ModelError: it holds anything else, which could run code, asks for more memory than it has
            bytes, or is not such a file.
    """
    try:
        content = _checked_content(path)
        with warnings.catch_warnings():
            # about old formats; a real problem raises an error below
            warnings.simplefilter("ignore")
            stored = torch.load(
                io.BytesIO(content), map_location="cpu", weights_only=True
            )
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: refused: it is not a file of plain tensors, "
            "and anything else in a pickle could run code"
        ) from error
    except Exception as error:
        # The unpickler reads arbitrary bytes, so it can raise almost anything.
        raise ModelError(
            f"{path}: refused: not a file that PyTorch can read ({type(error).__name__})"
        ) from error
    _check_memory(path, stored)
    return stored


def _checked_content(path: Path) -> bytes:
    """The file, of which nothing but plain tensors can be read."""
    if path.stat().st_size > MAX_BYTES:
        raise too_large(path)
    content = path.read_bytes()
    if zipfile.is_zipfile(io.BytesIO(content)):
        return _checked_archive(path, content)
    pickles = io.BytesIO(content)
    for _ in range(_OLD_PICKLES):
        _check_pickle(pickles)
    return content


def _checked_archive(path: Path, content: bytes) -> bytes:
    """A copy of the archive: PyTorch looks for its parts in another way than Python does."""
    copy = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as archive,
        zipfile.ZipFile(copy, "w") as checked,
    ):
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        if size > len(content) or len(entries) > _MAX_ENTRIES:
            raise ModelError(
                f"{path}: refused: it unpacks to {size / 1e9:.3g} GB, more than the file has, "
                "and torch.save compresses nothing"
            )
        for entry in entries:
            part = archive.read(entry)
            if entry.filename.endswith(".pkl"):
                _check_pickle(io.BytesIO(part))
            checked.writestr(entry.filename, part)
    return copy.getvalue()


def _check_pickle(file: IO[bytes]) -> None:
    """Read a pickle to its end without running it.

    Raises:
        pickle.UnpicklingError: it calls anything but what rebuilds tensors.
    """
    for opcode, argument, _ in pickletools.genops(file):
        is_foreign = opcode.name == "GLOBAL" and argument not in _ALLOWED_GLOBALS
        if is_foreign or opcode.name in _REFUSED_OPCODES:
            raise pickle.UnpicklingError(str(argument))


def _check_memory(path: Path, stored: Any) -> None:
    """Refuse tensors that are larger than what is stored of them, such as one value repeated."""
    total = 0
    # by identity: a list may contain itself
    seen: set[int] = set()
    pending = [stored]
    while pending:
        value = pending.pop()
        if isinstance(value, Tensor):
            size = value.numel() * value.element_size()
            total += size
            if size > value.untyped_storage().nbytes() or total > MAX_BYTES:
                raise ModelError(
                    f"{path}: refused: a tensor in it asks for {size / 1e9:.3g} GB, "
                    "which the file does not hold"
                )
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            pending += value.values() if isinstance(value, Mapping) else value
