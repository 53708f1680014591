"""Large things named by their SHA-256: weights, indexes, arrays.

A Blob is bytes with a name; it lies in memory or in a file and nobody who holds it needs to know which. `Blobs` is a
folder of them. A blob is written beside its name and moved there at once, so a reader never sees half a file, and
writing the same bytes twice is one file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Blob:
    """Immutable bytes, in memory or in a file, equal when their SHA-256 is."""

    __slots__ = ("_data", "_path", "sha256", "size")

    def __init__(self, sha256: str, size: int, data: bytes | None, path: Path | None) -> None:
        self.sha256 = sha256
        self.size = size
        self._data = data
        self._path = path

    @classmethod
    def of(cls, data: bytes) -> Blob:
        """A blob in memory."""
        return cls(hashlib.sha256(data).hexdigest(), len(data), data, None)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Blob:
        """Named arrays as one safetensors blob: the same arrays always give the same bytes."""
        import numpy as np
        from safetensors.numpy import save

        return cls.of(save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The arrays of a blob that `of_arrays` made."""
        from safetensors.numpy import load

        return dict(load(self.read()))

    def read(self) -> bytes:
        """The bytes. Raises DataError when the file is gone or no longer what its name says."""
        if self._data is not None:
            return self._data
        assert self._path is not None
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise DataError(
                f"The blob {self._path} can't be read ({error}). Restore it, or run the race again."
            ) from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise DataError(f"The blob {self._path} is damaged: its SHA-256 is not its name. Run the race again.")
        return data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"Blob({self.sha256[:12]}, {self.size} bytes)"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Blob, (self.sha256, self.size, self._data, self._path))


class Blobs:
    """A folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, blob: Blob) -> Blob:
        """Keep a blob; returns it as it lies on disk."""
        path = self.folder / blob.sha256
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, blob.read())
        return Blob(blob.sha256, blob.size, None, path)

    def get(self, sha256: str) -> Blob:
        """The blob of that name. Raises DataError when it is not here."""
        path = self.folder / sha256
        if not path.is_file():
            raise DataError(
                f"The blob {sha256[:12]} is not in {self.folder}. Was the run's folder moved without its blobs?"
            )
        return Blob(sha256, path.stat().st_size, None, path)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power loss."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:16]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
