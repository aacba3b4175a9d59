"""The golden request: rows of the hold-out through the Service, before a deployment counts as good."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import requests

from ....common.authorization import authorized
from ....common.errors import UserError
from ....common.names import GOLDEN_KEY
from ....version.artifact import Artifact, same_predictions
from .. import RolloutError
from .cluster import Cluster

REQUEST_SECONDS = 5


def check(
    cluster: Cluster, name: str, champion: Artifact, version: int, authorization: str, seconds: float, url: str = ""
) -> None:
    """Raise `RolloutError` if the Service does not predict with a version, and keeps not doing so for a time.

    The Service is reached through the API server, or at a URL where there is one.
    """
    deadline, problem = time.monotonic() + seconds, ""
    while True:
        try:
            with nullcontext(url) if url else cluster.service(name) as found:
                problem = ask(found, champion, version, authorization)
        except UserError as error:
            problem = str(error)
        if not problem:
            return
        if time.monotonic() > deadline:
            raise RolloutError(
                f"The pods are ready, but a golden request through {url or f'Service {name}'} failed: {problem}"
            )
        time.sleep(1)


def ask(url: str, champion: Artifact, version: int, authorization: str) -> str:
    """Return what is wrong with the answer to rows of the hold-out, "" if nothing is."""
    rows = champion.example.rows
    try:
        path = f"{url}/versions/{version}/predict"
        headers, auth = {"X-Key": GOLDEN_KEY}, authorized(authorization)
        answer = requests.post(path, json=rows, headers=headers, timeout=REQUEST_SECONDS, auth=auth)
        if not answer.ok:
            return f"{answer.status_code} {answer.text[:300]}"
        predictions: list[dict[str, Any]] = answer.json()
    except (requests.RequestException, ValueError) as error:
        return f"no answer ({type(error).__name__})"
    served = {prediction.get("version") for prediction in predictions}
    if len(predictions) != len(rows) or served - {version}:
        return f"{len(predictions)} predictions for {len(rows)} rows, of version {served}, not of {version}"
    if not same_predictions(champion.example.predictions, predictions):
        return f"other predictions than version {version} gave at its training: the image has another version {version}"
    return ""
