"""Files and folders: written whole or not at all, and told apart from what only looks like one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

StrPath = str | os.PathLike

LONGEST = 40  # characters of a name that a temporary file has, too

_KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device", stat.S_IFBLK: "device",
}  # fmt: skip


def checked_path(called: str, argument: str, path: StrPath) -> str:
    """`path` as a str. TypeError, naming `called` and `argument`, if it is none, ValueError for a null character."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{called}: expected {argument} as a str or os.PathLike, got {type(path).__name__}")
    text = os.fsdecode(path)
    if "\0" in text:
        raise ValueError(f"{called}: expected {argument} without a null character, got {text!r}")
    return text


def kind_of(path: StrPath) -> str:
    """What a path leads to: "file", "folder", "FIFO", "socket", "device", or "nothing" that can be seen.

    To open a FIFO may wait for ever, so it is asked for before a file is read.
    """
    try:
        return _KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "special file")
    except OSError:
        return "nothing"


def write_whole(path: StrPath, *parts: bytes | memoryview) -> None:
    """Makes `path` a file of these bytes, atomically and durably.

    Whoever opens it, at any time and after a crash, finds the former content or the new one, never a mixture. The
    bytes go to a temporary file in the same folder, which then takes the name. It gets the permissions of the former
    file, or those that the umask leaves a new one. A symbolic link stays, and what it leads to is replaced.

    Raises OSError, naming the file, if it cannot be written. The former file is then untouched and the temporary one
    removed, unless only the folder could not be brought to the disk: then the new file is there. A process that is
    killed may leave a temporary one, whose name ends in `.part`.
    """
    try:
        mode = _permissions(path)
        target = os.path.realpath(path)
        folder, name = os.path.split(target)
        temporary = os.path.join(folder, f"{name[:LONGEST]}.{os.urandom(6).hex()}.part")
        try:
            _write_new(temporary, parts, mode)
            os.replace(temporary, target)
        except BaseException:  # Ctrl-C too
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync(folder)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def write_folder(path: StrPath, files: Mapping[str, Iterable[bytes | memoryview]]) -> None:
    """Makes `path` a folder of these files, names to their bytes, atomically and durably, in the place of a former one.

    Whoever looks, at any time and after a crash, finds under this name a whole folder or none. Raises OSError, naming
    the folder, if it cannot be written; a former one is then untouched. A process that is killed may leave a folder
    beside it whose name ends in `.part`.
    """
    target = os.path.abspath(path)
    temporary, former = (f"{target}.{os.urandom(6).hex()}.part" for _ in range(2))
    try:
        if (kind := kind_of(target)) not in ("folder", "nothing"):
            raise OSError(f"it is a {kind}")
        try:
            os.mkdir(temporary)
            for name, parts in files.items():
                _write_new(os.path.join(temporary, name), parts, None)
            _sync(temporary)
            with contextlib.suppress(FileNotFoundError):
                os.rename(target, former)
            os.rename(temporary, target)
        except BaseException:
            if kind_of(former) == "folder" and kind_of(target) == "nothing":
                os.rename(former, target)
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        shutil.rmtree(former, ignore_errors=True)
        _sync(os.path.dirname(target))
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def remove_folder(path: StrPath) -> None:
    """Removes a folder with its files, if it is there: its name at once. OSError if it cannot."""
    unnamed = f"{os.path.abspath(path)}.{os.urandom(6).hex()}.part"
    try:
        os.rename(path, unnamed)
    except FileNotFoundError:
        return
    shutil.rmtree(unnamed)


def remove(path: StrPath) -> None:
    """Removes a file, if it is there, before anything that is written later reaches the disk. OSError if it cannot."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    _sync(os.path.dirname(os.path.abspath(path)))


def remove_unfinished(folder: StrPath, *names: str) -> None:
    """Removes what a process that was killed left beside files and folders of these names (patterns, too, of at most
    40 characters), while it wrote or removed them. OSError if it cannot."""
    for name in names:
        for left in Path(folder).glob(f"{name}.{'[0-9a-f]' * 12}.part"):
            shutil.rmtree(left) if left.is_dir() else remove(left)


def _permissions(path: StrPath) -> int | None:
    """Those of the file at `path`, None if there is nothing. OSError for a folder, a FIFO or the like."""
    try:
        found = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        raise OSError(f"it is a {_KINDS.get(stat.S_IFMT(found), 'special file')}")
    return stat.S_IMODE(found)


def _write_new(path: str, parts: Iterable[bytes | memoryview], mode: int | None) -> None:
    """Makes a file of these bytes, which are on the disk when this returns."""
    # The kernel applies the umask. To read it, a process would have to change it, for all of its threads.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if mode is not None:
            os.chmod(path, mode)
        for part in parts:
            left = memoryview(part)
            while left:  # one call writes 2 GiB at most
                left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(folder: str) -> None:
    """Brings the names in a folder to the disk, where the system can: Windows and some network disks cannot."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL):
            raise
    finally:
        os.close(descriptor)
