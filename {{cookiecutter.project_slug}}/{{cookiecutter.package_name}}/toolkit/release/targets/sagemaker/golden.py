"""The golden request: rows of the hold-out through the endpoint, before a deployment counts as good."""

from __future__ import annotations

import json
import time

from ....common.errors import UserError
from ....version.artifact import Artifact, same_predictions
from .. import RolloutError
from ..aws import Aws, AwsError
from .specification import Options

JSON = "application/json"


def check(aws: Aws, endpoint: str, champion: Artifact, version: int, options: Options, seconds: float) -> None:
    """Raise `RolloutError` if the endpoint does not predict what a version predicted at its training."""
    body = json.dumps({"dataframe_records": champion.example.rows}).encode()
    send = _asynchronous if options.mode == "asynchronous" else _synchronous
    try:
        answer = send(aws, endpoint, body, version, options, seconds)
        predictions = json.loads(answer)["predictions"]
    except AwsError as error:
        # Other errors say nothing of the release: a missing right, for example.
        kind = RolloutError if error.code in ("ModelError", "") else UserError
        raise kind(f"The endpoint is in service, but a golden request failed: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RolloutError(f"The endpoint answers a golden request with no predictions: {answer[:300]!r}") from error
    if not same_predictions(champion.example.predictions, predictions):
        raise RolloutError(
            f"The endpoint predicts otherwise than version {version} did at its training: the image has another "
            f"version {version}. Build it anew: unset IMAGE, and run make deploy"
        )


def _synchronous(aws: Aws, endpoint: str, body: bytes, version: int, options: Options, seconds: float) -> bytes:
    answer = aws.call(
        "sagemaker-runtime",
        "invoke_endpoint",
        f"endpoint {endpoint}",
        EndpointName=endpoint,
        ContentType=JSON,
        CustomAttributes=f"version={version}",
        Body=body,
    )
    return bytes(answer["Body"].read())


def _asynchronous(aws: Aws, endpoint: str, body: bytes, version: int, options: Options, seconds: float) -> bytes:
    """Send rows through S3; what is written there is deleted again."""
    bucket, _, folder = options.output.removeprefix("s3://").partition("/")
    key = f"{folder.rstrip('/')}/golden/{endpoint}.json".lstrip("/")
    thing = f"s3://{bucket}/{key}"
    written = [thing]
    aws.call("s3", "put_object", thing, Bucket=bucket, Key=key, Body=body, ContentType=JSON)
    try:
        answer = aws.call(
            "sagemaker-runtime",
            "invoke_endpoint_async",
            f"endpoint {endpoint}",
            EndpointName=endpoint,
            ContentType=JSON,
            CustomAttributes=f"version={version}",
            InputLocation=thing,
        )
        output, failure = answer["OutputLocation"], answer.get("FailureLocation", "")
        written += filter(None, (output, failure))
        return _await_object(aws, output, failure, seconds)
    finally:
        for place in written:
            bucket, _, key = place.removeprefix("s3://").partition("/")
            aws.call("s3", "delete_object", place, Bucket=bucket, Key=key)


def _await_object(aws: Aws, answer: str, failure: str, seconds: float) -> bytes:
    deadline = time.monotonic() + seconds
    while True:
        for place in filter(None, (answer, failure)):
            bucket, _, key = place.removeprefix("s3://").partition("/")
            try:
                content = bytes(aws.call("s3", "get_object", place, Bucket=bucket, Key=key)["Body"].read())
            except AwsError as error:
                if not error.is_missing:
                    raise
                continue
            if place == failure:
                raise AwsError(f"the container answered {content[:300]!r}")
            return content
        if time.monotonic() > deadline:
            raise AwsError(f"no answer in {answer} after {seconds:g} s")
        time.sleep(1)
