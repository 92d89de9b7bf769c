"""torch.hub, which downloads code and weights: here each of its functions says where they come from instead."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["download_url_to_file", "load", "load_state_dict_from_url"]


def load_state_dict_from_url(url: str, *arguments: object, **options: object) -> NoReturn:
    """RuntimeError: nothing is downloaded."""
    raise RuntimeError(f"hub: nothing is downloaded here: save {url} to a file, then use tinycnn.load(file)")


download_url_to_file = load_state_dict_from_url


def load(repo_or_dir: str, *arguments: object, **options: object) -> NoReturn:
    """RuntimeError: nothing is downloaded."""
    raise RuntimeError(f"hub: nothing is downloaded here: build the net of {repo_or_dir}, load its weights from a file")
