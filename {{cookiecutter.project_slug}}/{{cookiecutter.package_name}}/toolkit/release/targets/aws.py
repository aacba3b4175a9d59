"""Calls to AWS, for the targets that run there; each error of AWS becomes a sentence with what to do."""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import Any

from ...common.errors import UserError, missing_library

#: Times a call is sent before an error of throttling or of the network counts, and the seconds that each may take.
ATTEMPTS, CONNECT_SECONDS, READ_SECONDS = 6, 10, 70
#: The extra that has boto3.
EXTRA = "sagemaker"
#: Tag of everything that a target makes: the deployment it belongs to.
OWNER = "model-service:deployment"

#: What happened and what to do, by the beginning of an error: AWS's code, and its words where the code says little.
EXPLANATIONS = (
    (
        r"ExpiredToken|RequestExpired",
        "The AWS credentials have expired. Log in again (aws sso login, or new keys)",
    ),
    (
        r"InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|InvalidSignature|AuthFailure|IncompleteSignature",
        "AWS does not accept the credentials. Check them, and the clock of this machine: aws sts get-caller-identity",
    ),
    (
        r"AccessDenied.*PassRole",
        "These AWS credentials may not pass the role to the service. An administrator allows iam:PassRole for it "
        "(policy: docs/aws.md)",
    ),
    (
        r"AccessDenied|Unauthorized|NotAuthorized|Forbidden",
        "These AWS credentials may not do it. An administrator adds the rights of docs/aws.md to them",
    ),
    (
        r"ResourceLimitExceeded|LimitExceeded|QuotaExceeded|ServiceQuota|CodeStorageExceeded",
        "A quota of the AWS account does not allow it. Choose a smaller or another instance type, delete what is not "
        "used, or have the quota raised (AWS console, Service Quotas)",
    ),
    (
        r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown",
        "AWS has throttled these calls, and kept doing so after retries. Run the command again in a minute",
    ),
    (
        r"(Validation|InvalidParameter).*([Aa]ssume|[Rr]ole .*(invalid|trust|exist))",
        "AWS cannot use the role. It must exist and trust the service (trust policy: docs/aws.md)",
    ),
    (
        r"ImageNotFound|(Validation|InvalidParameter).*image .*(not found|does not exist)",
        "AWS does not find the image. Push it to ECR in the same region, or unset IMAGE, so that deploy pushes one",
    ),
    (
        r"\w*NotFound|NoSuch|Validation.*(Could not|Cannot) find",
        "AWS does not have it in this region. Check the name and AWS_REGION",
    ),
    (
        r"ResourceInUse|\w*Conflict|OperationAborted|Validation.*in-progress",
        "Another change of it is in progress. Run the command again when make status shows none",
    ),
    (
        r"Validation|InvalidParameter|BadRequest|InvalidRequest",
        "AWS rejects a value. Change the setting that the message names",
    ),
    (
        r"Internal|ServiceException|ServiceUnavailable|ModelNotReady|5\d\d",
        "AWS itself had an error. Run the command again in a minute; https://health.aws.amazon.com shows disturbances",
    ),
)


class AwsError(UserError):
    """A call that failed; `code` is AWS's own, "" if AWS was not reached."""

    def __init__(self, message: str, code: str = "", words: str = "") -> None:
        super().__init__(message)
        self.code, self.words = code, words

    @property
    def is_missing(self) -> bool:
        """Whether the thing that was asked for does not exist."""
        return "NotFound" in self.code or self.code.startswith("NoSuch") or "Could not find" in self.words


class Aws:
    """A session with the credentials and the region of the environment."""

    def __init__(self) -> None:
        try:
            boto3, self._config = import_module("boto3"), import_module("botocore.config")
            self._errors = import_module("botocore.exceptions")
        except ModuleNotFoundError as error:
            raise missing_library(error, EXTRA) from error
        try:
            self._session = boto3.Session()
        except self._errors.BotoCoreError as error:
            raise AwsError(f"AWS: {error}. Set AWS_PROFILE to a profile that is there: aws configure list") from error
        self.region = os.environ.get("AWS_REGION") or self._session.region_name or ""
        if not self.region:
            raise AwsError("No AWS region is set: set AWS_REGION, or run aws configure set region eu-central-1")
        self._clients: dict[str, Any] = {}

    def call(self, service: str, operation: str, thing: str, **arguments: Any) -> Any:
        """Return the answer to an operation (`create_model`); `AwsError` names the thing that it was about."""
        return self._explained(service, operation, thing, lambda: self._method(service, operation)(**arguments))

    def pages(self, service: str, operation: str, key: str, thing: str, **arguments: Any) -> list[Any]:
        """Return the entries of all pages of an operation that lists."""

        def read() -> list[Any]:
            paginator = self._client(service).get_paginator(operation)
            return [entry for page in paginator.paginate(**arguments) for entry in page[key]]

        return list(self._explained(service, operation, thing, read))

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            retries = {"mode": "standard", "max_attempts": ATTEMPTS}
            settings = self._config.Config(retries=retries, connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
            self._clients[service] = self._session.client(service, region_name=self.region, config=settings)
        return self._clients[service]

    def _method(self, service: str, operation: str) -> Any:
        return getattr(self._client(service), operation)

    def _explained(self, service: str, operation: str, thing: str, call: Any) -> Any:
        errors = self._errors
        try:
            return call()
        except errors.ClientError as error:
            code, words = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
            text = f"{explain(code, words)}. {service} {operation}, {thing}: {code}: {words}"
            raise AwsError(text, code, words) from error
        except (errors.NoCredentialsError, errors.PartialCredentialsError, errors.CredentialRetrievalError) as error:
            raise AwsError(
                f"No AWS credentials were found ({error}). Set AWS_PROFILE, or log in: aws sso login"
            ) from error
        except (errors.SSOError, errors.TokenRetrievalError) as error:
            raise AwsError(f"The login to AWS has ended ({error}). Log in again: aws sso login") from error
        except (errors.HTTPClientError, errors.ConnectionError) as error:
            text = f"AWS cannot be reached for {service} {operation}, {thing} ({error})"
            raise AwsError(f"{text}. Check network, proxy and AWS_REGION ({self.region})") from error
        except errors.BotoCoreError as error:
            text = " ".join(str(error).split())
            raise AwsError(
                f"{thing} cannot be sent to AWS. Change the setting that the message names: {text}"
            ) from error


def explain(code: str, words: str) -> str:
    """Return the sentence for an error of AWS."""
    text = f"{code}: {words}"
    return next((sentence for start, sentence in EXPLANATIONS if re.match(start, text)), "AWS did not do it")
