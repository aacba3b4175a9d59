"""A project that is deployed to AWS: what the tests of its targets share."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from titanic_survival.toolkit.release.store import Release, Store

NAME = "titanic-survival"
ROLE = "arn:aws:iam::123456789012:role/models"
IMAGE = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/{NAME}@sha256:{64 * 'a'}"
OTHER = IMAGE.replace("aaaa", "bbbb")
ROWS, PREDICTIONS = [{"age": 30}, {"age": None}], [{"survived": "yes", "probability": 0.7}, {"survived": "no"}]


class AwsProject:
    """A store that releases version 1, and its champion."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root / "store")
        self.champion: Any = SimpleNamespace(example=SimpleNamespace(rows=ROWS, predictions=PREDICTIONS))
        self.release(1)

    def release(self, number: int) -> Release:
        """Release a version, and return the release."""
        release = Release.now("titanic", number, {number: ("champion",)}, digests={number: 64 * str(number)})
        self.store.write(release)
        return release
