"""Files that are whole or untouched."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file beside itself and renames it: one of that name is replaced only once the new one is whole.

    OSError, naming the file, where that cannot be done.
    """
    path = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as part:
            temporary = Path(part.name)
            try:
                part.write(data)
                part.close()
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def _umask() -> int:
    """A temporary file is private; a saved one gets the usual permissions."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
