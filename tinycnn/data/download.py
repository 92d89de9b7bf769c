"""Downloads: by pooch or, without it, by torchvision; checked, and in place whole or not at all."""

from __future__ import annotations

import contextlib
import importlib
import re
import tempfile
import threading
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinycnn._extras import how_to_install
from tinycnn._files import write_whole

_PATIENCE = 4  # seconds to wait for a mirror's first response

Fallback = Callable[[Any, Path, Iterable[str]], list[Path]]
Unpack = Callable[[Path], Iterable[tuple[str, bytes]]]


class DownloadError(OSError):
    """The files of a data set could not be downloaded from any mirror."""


def download_files(
    owner: str, files: dict[str, str], mirrors: Iterable[str], target: Path, from_torchvision: Fallback,
    unpack: Unpack | None = None,
) -> None:  # fmt: skip
    """Downloads files into the folder `target`.

    Args:
        owner: the name of the data set.
        files: the name of each file to its MD5 sum.
        mirrors: what a name is appended to for its address; tried in turn.
        from_torchvision: downloads them with torchvision (the module, a folder, the names), and says where they are.
        unpack: the names and contents of what belongs into `target` of one of `files`, an archive. Default None: the
            file itself does.

    Raises DownloadError if every mirror fails or a file cannot be written, ImportError if neither library is installed.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        # Elsewhere at first: what a download leaves that is killed must not lie beside the data.
        with tempfile.TemporaryDirectory(prefix="tinycnn-") as path:
            folder = Path(path)
            if _is_missing("pooch"):
                found, reasons = _with_torchvision(owner, files, folder, from_torchvision)
            else:
                found, reasons = _with_pooch(files, mirrors, folder)
            for file in found:
                if unpack is not None and file.name in files:
                    contents = unpack(file)
                else:
                    contents = [(file.name, file.read_bytes())]
                for name, content in contents:
                    write_whole(target / name, content)
    except OSError as error:
        reasons = [str(error)]
    if reasons:
        raise DownloadError(
            f"{owner}: could not download {' and '.join(files)}: {'; '.join(reasons)}; "
            f"check the connection, or put the files into {target} by hand"
        )


def _is_missing(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return True
    return False


def _with_pooch(files: dict[str, str], mirrors: Iterable[str], folder: Path) -> tuple[list[Path], list[str]]:
    """Tries the mirrors in turn for each file. Returns the files up to the first for which every mirror failed, and the
    reasons."""
    import pooch

    # Without tqdm, pooch refuses to draw a progress bar. timeout: seconds to connect, and between two packets.
    downloader = pooch.HTTPDownloader(progressbar=find_spec("tqdm") is not None, timeout=(5, 30))
    found: list[Path] = []
    for name, md5 in files.items():
        reasons = []
        for mirror in mirrors:
            if _is_silent(f"{mirror}{name}"):
                reasons.append(f"{mirror}: no answer within {_PATIENCE} seconds")
                continue
            try:
                pooch.retrieve(f"{mirror}{name}", f"md5:{md5}", name, folder, downloader=downloader)
                break
            except (OSError, ValueError) as error:  # OSError: connection or server; ValueError: checksum
                reasons.append(f"{mirror}: {_one_line(error)}")
        else:
            return found, reasons
        found.append(folder / name)
    return found, []


def _is_silent(url: str) -> bool:
    """Whether `url` does not respond, not even with an error, within _PATIENCE seconds.

    The downloader's timeout applies to each address of a host, of which there may be a dozen: behind a firewall that
    drops packets this adds up to minutes.
    """
    import requests  # pooch's own dependency

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            requests.head(url, timeout=_PATIENCE)

    question = threading.Thread(target=ask, daemon=True)
    question.start()
    question.join(_PATIENCE)
    return question.is_alive()


def _with_torchvision(
    owner: str, files: Iterable[str], folder: Path, fetch: Fallback
) -> tuple[list[Path], list[str]]:  # fmt: skip
    try:
        torchvision = importlib.import_module("torchvision")
    except ImportError:
        raise ImportError(
            f"{owner}: downloading needs pooch, which is not installed: {how_to_install('examples')}"
        ) from None
    try:
        return fetch(torchvision, folder, files), []
    except (OSError, RuntimeError) as error:
        return [], [f"torchvision: {_one_line(error)}"]


def _one_line(error: Exception) -> str:
    # requests wraps the cause, such as "connection refused", in text about pools and retries; it comes last.
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r".*\(Caused by (.*)\)", r"\1", text)
