"""The golden request: rows of the hold-out to a version of the function, before callers reach it."""

from __future__ import annotations

import json

from ....version.artifact import Artifact, same_predictions
from .. import RolloutError
from .function import Function


def check(function: Function, version: str, champion: Artifact, number: int, authorization: str) -> None:
    """Raise `RolloutError` if a version of the function does not predict what the champion did at its training."""
    http = {"method": "POST", "path": f"/versions/{number}/predict", "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1"}
    headers = {"content-type": "application/json", "host": "localhost"}
    event = {
        "version": "2.0",
        "rawPath": http["path"],
        "rawQueryString": "",
        "headers": headers | ({"authorization": authorization} if authorization else {}),
        "requestContext": {"http": http, "stage": "$default"},
        "body": json.dumps(champion.example.rows),
        "isBase64Encoded": False,
    }
    answer = function.call("invoke", Qualifier=version, Payload=json.dumps(event).encode())
    payload = json.loads(answer["Payload"].read())
    if answer.get("FunctionError") or payload.get("statusCode") != 200:
        words = str(payload.get("errorMessage") or payload.get("body") or payload)[:500].rstrip(".")
        log = f"aws logs tail /aws/lambda/{function.name}"
        raise RolloutError(f"The function {function.name} failed on rows of the hold-out: {words}. Its log: {log}")
    if not same_predictions(champion.example.predictions, json.loads(payload["body"])):
        raise RolloutError(
            f"The function predicts otherwise than version {number} did at its training: the image has another "
            f"version {number}. Build it anew: unset IMAGE, and run make deploy"
        )
