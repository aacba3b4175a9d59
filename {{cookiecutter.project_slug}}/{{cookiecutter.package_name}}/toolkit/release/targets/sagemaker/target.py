"""The target: plan, apply, status, rollback and removal of an endpoint of SageMaker."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

from ....common import console
from ....common.errors import UserError
from ....version.artifact import Artifact
from ...store import Release, Store
from .. import Deployment, Rollout, RolloutError
from ..aws import Aws, AwsError
from . import golden
from .endpoint import CURRENT, PREVIOUS, Endpoint, InProgressError
from .specification import Options, Specification, deployment, release_of, tags

GOLDEN_SECONDS = 300


class SageMaker:
    """Runs the store's release at an endpoint; `build` pushes an image to ECR and returns its name by digest."""

    def __init__(
        self,
        name: str,
        store: Store,
        image: str,
        options: Options,
        *,
        build: Callable[[Aws], str],
        seconds: float = 1800,
        poll_seconds: float = 10,
    ) -> None:
        self._name, self._store, self._image, self._options = name, store, image, options
        self._build, self._seconds = build, seconds
        self._aws = Aws()
        self._endpoint = Endpoint(self._aws, name, poll_seconds)

    @property
    def place(self) -> str:
        """The region and the endpoint."""
        return f"{self._aws.region}/{self._name}"

    def plan(self, release: Release) -> bool:
        """Print what `apply` would change, and return whether it would change anything."""
        self._options.check()
        found = self._endpoint.describe()
        model = self._model(found) if found else None
        running = release_of(model) if model else None
        image = model["PrimaryContainer"]["Image"] if model else ""
        # Planning builds nothing: until there is an image of the release, it counts as the one that runs.
        after = Specification(self._name, release, self._image or image, self._options)
        status = found["EndpointStatus"] if found else "-"
        if found and found["EndpointConfigName"] == after.name and status == "InService":
            return False
        console.table(
            ["", "now", "after deploy"],
            [
                ["endpoint", f"{self._name}, {status}" if found else "-", self._name],
                ["image", _short(image) or "-", _short(self._image) or "built and pushed by deploy"],
                ["champion", str(running.champion) if running else "-", str(release.champion)],
                ["versions", running.summary() if running else "-", release.summary()],
                ["runs on", self._runs_on(found) if found else "-", _capacity(after.configuration())],
            ],
        )
        return True

    def apply(self, champion: Artifact) -> Rollout:
        """Run the store's release; `UserError` has AWS's reason, and what ran before runs then."""
        release = self._store.required_release()
        self._options.check()
        found = self._endpoint.describe()
        if found:
            found = self._endpoint.await_end(self._limit)
        known = self._endpoint.tags(found["EndpointArn"]) if found else {}
        self._image = self._image or self._build(self._aws)
        new = Specification(self._name, release, self._image, self._options)
        good = known.get(CURRENT, "")
        if found and not good and found["EndpointStatus"] == "InService" and found["EndpointConfigName"] != new.name:
            good = found["EndpointConfigName"]
        try:
            found = self._bring(found, new)
            golden.check(self._aws, self._name, champion, release.champion, self._options, GOLDEN_SECONDS)
        except InProgressError:
            raise
        except UserError as error:
            self._go_back(error, good)
            raise
        previous = good if good != new.name else known.get(PREVIOUS, "")
        self._endpoint.record(found["EndpointArn"], new.name, previous)
        self._endpoint.delete_configurations(keep=(new.name, previous))
        action = "in service, and checked with rows of the hold-out through the endpoint"
        return Rollout(self._url, action, self._image, self._call(champion.example.rows[:1]))

    def running(self) -> Deployment | None:
        """Return the endpoint in operation, None if there is none."""
        found = self._endpoint.describe()
        if found is None:
            return None
        model, status = self._model(found), found["EndpointStatus"]
        details = {
            "region": self._aws.region,
            "image": model["PrimaryContainer"]["Image"],
            "runs on": self._runs_on(found),
        }
        if reason := found.get("FailureReason", ""):
            details["reason"] = reason
        if self._endpoint.tags(found["EndpointArn"]).get(CURRENT) != found["EndpointConfigName"]:
            details["unchecked"] = "the last deploy was interrupted; make deploy ends it"
        health = "ready" if status == "InService" else status
        return Deployment(self._url, health, release_of(model), found["LastModifiedTime"], details)

    def rollback(self, champion: int) -> Release:
        """Run what the last deploy replaced, and return its release; `UserError` if its champion is another."""
        found = self._endpoint.describe()
        known = self._endpoint.tags(found["EndpointArn"]) if found else {}
        if not found or PREVIOUS not in known:
            raise UserError(f"There is no earlier deployment of the endpoint {self._name}")
        current, previous = known.get(CURRENT, ""), known[PREVIOUS]
        release = release_of(self._aws.call("sagemaker", "describe_model", f"model {previous}", ModelName=previous))
        if champion != release.champion:
            text = f"The deployment before served version {release.champion}, not {champion}"
            raise UserError(f"{text}. To serve {champion}: make deploy")
        self._endpoint.await_end(self._limit)
        self._switch(previous)
        self._endpoint.record(found["EndpointArn"], previous, current)
        return release

    def remove(self) -> bool:
        """Delete endpoint, configurations, models and alarm that deploys made; images stay in ECR."""
        found = self._endpoint.describe()
        if found:
            self._endpoint.await_end(self._limit)
            self._endpoint.delete(self._limit)
        deleted = self._endpoint.delete_configurations()
        alarm = self._endpoint.delete_alarm()
        return bool(found or deleted or alarm)

    @property
    def _limit(self) -> float:
        # SageMaker ends a rollout after these seconds by itself, and then needs as long to go back.
        return 2 * self._seconds

    @property
    def _url(self) -> str:
        return f"https://runtime.sagemaker.{self._aws.region}.amazonaws.com/endpoints/{self._name}/invocations"

    def _call(self, rows: list[dict[str, Any]]) -> str:
        """Return a line for a shell that sends rows with AWS's command line."""
        start = f"aws sagemaker-runtime invoke-endpoint{'-async' * (self._options.mode == 'asynchronous')}"
        start += f" --region {self._aws.region} --endpoint-name {self._name} --content-type {golden.JSON}"
        if self._options.mode == "asynchronous":
            return f"{start} --input-location {self._options.output.rstrip('/')}/rows.json"
        body = shlex.quote(json.dumps({"dataframe_records": rows}))
        return f"{start} --cli-binary-format raw-in-base64-out --body {body} /dev/stdout"

    def _bring(self, found: dict[str, Any] | None, new: Specification) -> dict[str, Any]:
        """Have the endpoint run a specification, and return the endpoint."""
        self._ensure("model", f"model {new.name}", {"ModelName": new.name}, new.model())
        self._ensure(
            "endpoint_config",
            f"configuration {new.name}",
            {"EndpointConfigName": new.name},
            new.configuration(),
        )
        if found and found["EndpointStatus"] == "Failed":
            # It never was in service: SageMaker takes no update of it.
            self._endpoint.delete(self._limit)
            found = None
        self._endpoint.put_alarm()
        if found is None:
            arguments = {"EndpointName": self._name, "EndpointConfigName": new.name, "Tags": tags(self._name)}
            self._aws.call("sagemaker", "create_endpoint", f"endpoint {self._name}", **arguments)
            return self._expect(new.name)
        if found["EndpointConfigName"] == new.name and found["EndpointStatus"] == "InService":
            return found
        return self._switch(new.name)

    def _switch(self, configuration: str) -> dict[str, Any]:
        """Have the endpoint run a configuration that exists, instead of its own."""
        how = deployment(self._configuration(configuration), self._endpoint.alarm, self._seconds)
        arguments = {"EndpointName": self._name, "EndpointConfigName": configuration, **how}
        self._aws.call("sagemaker", "update_endpoint", f"endpoint {self._name}", **arguments)
        return self._expect(configuration)

    def _expect(self, configuration: str) -> dict[str, Any]:
        """Return the endpoint once it is in service with a configuration; `UserError` has AWS's reason if not."""
        found = self._endpoint.await_end(self._limit)
        if found and found["EndpointStatus"] == "InService" and found["EndpointConfigName"] == configuration:
            return found
        status = found["EndpointStatus"] if found else "gone"
        reason = (found or {}).get("FailureReason") or "SageMaker names no reason"
        log = f"/aws/sagemaker/Endpoints/{self._name}"
        raise RolloutError(
            f"The endpoint {self._name} did not come into service with {configuration} (it is {status}): "
            f"{reason.rstrip('.')}. The container's log is in CloudWatch: aws logs tail {log}"
        )

    def _ensure(self, kind: str, thing: str, name: dict[str, str], arguments: dict[str, Any]) -> None:
        """Make a thing of SageMaker unless it is there; its name has a hash of what it holds."""
        try:
            self._aws.call("sagemaker", f"describe_{kind}", thing, **name)
        except AwsError as error:
            if not error.is_missing:
                raise
            self._aws.call("sagemaker", f"create_{kind}", thing, **arguments)

    def _go_back(self, error: UserError, good: str) -> None:
        """Run the last good configuration again after a failure; `UserError` says both when that fails too."""
        console.say(f"The deployment failed; {'going back to ' + good if good else 'removing what was made'}")
        try:
            found = self._endpoint.await_end(self._limit)
            if not good:
                self.remove()
                return
            if found and (found["EndpointConfigName"] != good or found["EndpointStatus"] != "InService"):
                self._switch(good)
            known = self._endpoint.tags(found["EndpointArn"]) if found else {}
            self._endpoint.delete_configurations(keep=(good, known.get(PREVIOUS, "")))
        except UserError as second:
            raise type(error)(f"{error}\nGoing back failed too, so look at the endpoint: {second}") from error

    def _model(self, endpoint: dict[str, Any]) -> dict[str, Any]:
        name = self._configuration(endpoint["EndpointConfigName"])["ProductionVariants"][0]["ModelName"]
        return dict(self._aws.call("sagemaker", "describe_model", f"model {name}", ModelName=name))

    def _configuration(self, name: str) -> dict[str, Any]:
        thing = f"configuration {name}"
        return dict(self._aws.call("sagemaker", "describe_endpoint_config", thing, EndpointConfigName=name))

    def _runs_on(self, endpoint: dict[str, Any]) -> str:
        return _capacity(self._configuration(endpoint["EndpointConfigName"]))


def _capacity(configuration: dict[str, Any]) -> str:
    """Return in words what an endpoint configuration runs on."""
    variant = configuration["ProductionVariants"][0]
    if serverless := variant.get("ServerlessConfig"):
        return f"serverless, {serverless['MemorySizeInMB']} MB, {serverless['MaxConcurrency']} requests at once"
    text = f"{variant['InitialInstanceCount']} x {variant['InstanceType']}"
    return f"{text}, asynchronous" if configuration.get("AsyncInferenceConfig") else text


def _short(image: str) -> str:
    """Return the last part of an image's name with the start of its digest."""
    name, _, digest = image.rpartition("/")[2].partition("@sha256:")
    return f"{name}@{digest[:12]}" if digest else name
