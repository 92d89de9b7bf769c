"""What the commands share that look at runs: the data of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from tinycnn._extras import how_to_install
from tinycnn.training.results import RunError, Weights


def load_test_set(weights: Weights, dataset: str | None = None, root: Path | None = None) -> tuple[str, Any]:
    """(name, test part) of the data set on which a net was trained, or of another one, `dataset`.

    Raises RunError for a data set that is unknown or does not fit the net, ImportError without the extra `training`,
    and what the data set's class does.
    """
    try:
        from pydantic import ValidationError

        from tinycnn.training.datasets import load_data
        from tinycnn.training.recipe import Recipe
    except ModuleNotFoundError as error:
        raise ImportError(f"needs {error.name}, which is not installed: {how_to_install('training')}") from None
    known = get_args(Recipe.model_fields["dataset"].annotation)
    if dataset not in (None, *known):
        raise RunError(f"--dataset: expected one of {', '.join(known)}, got {dataset!r}")
    other = {"dataset": dataset, "image_size": weights.data.image_shape[-1] if dataset == "folder" else None}
    try:
        recipe = Recipe.model_validate_json(json.dumps({**weights.recipe, **(other if dataset else {})}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise RunError(f"{weights.path}: its recipe is none of this version: {key}: {first['msg']}") from None
    _, test_set = load_data(recipe, root)
    weights.check_fits(test_set, recipe.dataset)
    return recipe.dataset, test_set
