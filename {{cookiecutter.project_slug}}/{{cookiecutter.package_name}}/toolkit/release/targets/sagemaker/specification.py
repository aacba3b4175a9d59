"""What a deployment consists of: model and endpoint configuration, as SageMaker's API takes them.

Both cannot be changed once they exist, so their names contain a hash of what they hold: the same release, image and
settings have the same names, and a deploy that was interrupted finds what it had made.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ....common.errors import UserError
from ...store import Release
from ..aws import OWNER

#: SageMaker sends requests to this port.
PORT = 8080
VARIANT = "main"
NAME_LENGTH = 63
#: The variable of the container that has the release, in pieces, since a value may have 1024 characters.
RELEASE, PIECE = "DEPLOYED_RELEASE", 1000
#: Seconds for which the new instances take traffic, watched by the alarm, before the old ones end.
BAKE_SECONDS = 120
#: The least and the most that SageMaker allows for a rollout.
SHORTEST, LONGEST = 600, 28_800


class Options(NamedTuple):
    """How an endpoint runs; the names of the settings have SAGEMAKER_ before these."""

    role: str
    mode: Literal["instances", "serverless", "asynchronous"] = "instances"
    instance: str = "ml.m5.large"
    instances: int = 1
    memory: int = 2048
    concurrency: int = 5
    output: str = ""
    #: Settings of the service, as variables of the container.
    environment: Mapping[str, str] = {}

    def check(self) -> None:
        """Raise `UserError` for values that SageMaker would reject later, or with fewer words."""
        if not re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", self.role):
            text = f"SAGEMAKER_ROLE {self.role!r} is no ARN of a role" if self.role else "SAGEMAKER_ROLE is not set"
            raise UserError(f"{text}: write arn:aws:iam::123456789012:role/name; docs/aws.md says what it needs")
        if self.mode == "asynchronous" and not re.fullmatch(r"s3://[a-z0-9.-]{3,63}(/.*)?", self.output):
            raise UserError(
                f"SAGEMAKER_OUTPUT {self.output!r}: an asynchronous endpoint writes its answers to S3; "
                "write s3://bucket/folder"
            )


class Specification:
    """A release in an image, and the endpoint it is to run at."""

    def __init__(self, endpoint: str, release: Release, image: str, options: Options) -> None:
        self.endpoint, self.release, self.image, self.options = endpoint, release, image, options
        self.name = self._name()

    def model(self) -> dict[str, Any]:
        """Return the arguments of CreateModel."""
        return {
            "ModelName": self.name,
            "PrimaryContainer": {"Image": self.image, "Environment": self._environment()},
            "ExecutionRoleArn": self.options.role,
            "Tags": tags(self.endpoint),
        }

    def configuration(self) -> dict[str, Any]:
        """Return the arguments of CreateEndpointConfig."""
        options = self.options
        variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": self.name}
        if options.mode == "serverless":
            variant["ServerlessConfig"] = {"MemorySizeInMB": options.memory, "MaxConcurrency": options.concurrency}
        else:
            variant |= {"InstanceType": options.instance, "InitialInstanceCount": options.instances}
            variant["InitialVariantWeight"] = 1.0
        arguments: dict[str, Any] = {"EndpointConfigName": self.name, "ProductionVariants": [variant]}
        arguments["Tags"] = tags(self.endpoint)
        if options.mode == "asynchronous":
            output = options.output.rstrip("/")
            arguments["AsyncInferenceConfig"] = {
                "OutputConfig": {"S3OutputPath": f"{output}/answers", "S3FailurePath": f"{output}/failures"}
            }
        return arguments

    def _environment(self) -> dict[str, str]:
        # The time of the release is that of its pull, which says nothing of what runs.
        text = self.release.model_copy(
            update={"created": self.release.created.replace(microsecond=0)}
        ).model_dump_json()
        pieces = {f"{RELEASE}_{i // PIECE}": text[i : i + PIECE] for i in range(0, len(text), PIECE)}
        return {"PORT": str(PORT), "AUTH": "none", **self.options.environment, **pieces}

    def _name(self) -> str:
        held = [
            self.image,
            self.release.model_dump_json(exclude={"created"}),
            {**self.options._asdict(), "environment": dict(sorted(self.options.environment.items()))},
        ]
        digest = hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:12]
        ending = f"-v{self.release.champion}-{digest}"
        return self.endpoint[: NAME_LENGTH - len(ending)].rstrip("-") + ending


def deployment(configuration: dict[str, Any], alarm: str, seconds: float) -> dict[str, Any]:
    """Return the argument DeploymentConfig of UpdateEndpoint: blue/green, undone by SageMaker when it fails.

    Serverless endpoints take none: SageMaker replaces them in its own way.
    """
    variant = configuration["ProductionVariants"][0]
    if "ServerlessConfig" in variant:
        return {}
    routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": BAKE_SECONDS}
    if variant["InitialInstanceCount"] > 1:
        # One new instance takes its part of the traffic first.
        routing |= {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}}
    policy = {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": 0,
        "MaximumExecutionTimeoutInSeconds": int(min(max(seconds, SHORTEST), LONGEST)),
    }
    rollback = {"Alarms": [{"AlarmName": alarm}]}
    return {"DeploymentConfig": {"BlueGreenUpdatePolicy": policy, "AutoRollbackConfiguration": rollback}}


def release_of(model: dict[str, Any]) -> Release:
    """Return the release of a model that SageMaker describes."""
    environment = model["PrimaryContainer"].get("Environment", {})
    pieces = sorted(
        (key for key in environment if key.startswith(RELEASE)), key=lambda key: int(key.rpartition("_")[2])
    )
    return Release.model_validate_json("".join(environment[key] for key in pieces))


def tags(endpoint: str) -> list[dict[str, str]]:
    """Return the tags of everything that belongs to an endpoint."""
    return [{"Key": OWNER, "Value": endpoint}]
