"""An endpoint, and what belongs to it: described, awaited, recorded and deleted."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from ....common import console
from ....common.errors import UserError
from ..aws import OWNER, Aws, AwsError
from .specification import VARIANT, tags

#: SageMaker is at work; no change is accepted meanwhile.
IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
#: Tags of an endpoint: the configuration that last answered the golden request, and the one before.
CURRENT, PREVIOUS = "model-service:current", "model-service:previous"
#: Requests with status 5xx in a minute that undo a rollout.
ERRORS_PER_MINUTE = 5


class InProgressError(UserError):
    """SageMaker is at work for longer than allowed; until it has ended, it takes no change, nor a way back."""


class Endpoint:
    """One endpoint by its name; `poll_seconds` pass between two looks at it."""

    def __init__(self, aws: Aws, name: str, poll_seconds: float = 10) -> None:
        self._aws, self.name, self._poll = aws, name, poll_seconds
        self.alarm = f"{name}-errors"

    def describe(self) -> dict[str, Any] | None:
        """Return what SageMaker says of the endpoint, None if there is none; `UserError` if it is not ours."""
        found = self._describe()
        if found and self.tags(found["EndpointArn"]).get(OWNER) != self.name:
            raise UserError(
                f"The endpoint {self.name} was made by someone else, and is left as it is. Choose another name: "
                "SAGEMAKER_ENDPOINT"
            )
        return found

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of a thing of SageMaker."""
        found = self._aws.pages("sagemaker", "list_tags", "Tags", arn, ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for tag in found}

    def await_end(self, seconds: float) -> dict[str, Any] | None:
        """Return the endpoint as soon as nothing is in progress; each change of its status is printed."""
        deadline, said = time.monotonic() + seconds, ""
        while True:
            found = self._describe()
            if found is None or found["EndpointStatus"] not in IN_PROGRESS:
                return found
            if (now := _progress(found)) != said:
                console.say(f"  {self.name}: {now}")
                said = now
            if time.monotonic() > deadline:
                raise InProgressError(
                    f"The endpoint {self.name} is still {found['EndpointStatus']} after {seconds:g} s "
                    "(SAGEMAKER_SECONDS). SageMaker goes on with it: see make status, then run make deploy again"
                )
            time.sleep(self._poll)

    def record(self, arn: str, current: str, previous: str) -> None:
        """Tag the endpoint with the configuration that is good now, and the one before."""
        new = {CURRENT: current, PREVIOUS: previous}
        new_tags = [{"Key": key, "Value": value} for key, value in new.items() if value]
        self._aws.call("sagemaker", "delete_tags", self.name, ResourceArn=arn, TagKeys=list(new))
        self._aws.call("sagemaker", "add_tags", self.name, ResourceArn=arn, Tags=new_tags)

    def put_alarm(self) -> None:
        """Make the CloudWatch alarm on which SageMaker undoes a rollout: requests that fail."""
        self._aws.call(
            "cloudwatch",
            "put_metric_alarm",
            f"alarm {self.alarm}",
            AlarmName=self.alarm,
            AlarmDescription=f"Requests to {self.name} fail; a rollout in progress is undone.",
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Dimensions=[{"Name": "EndpointName", "Value": self.name}, {"Name": "VariantName", "Value": VARIANT}],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=ERRORS_PER_MINUTE,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
            Tags=tags(self.name),
        )

    def delete(self, seconds: float) -> None:
        """Delete the endpoint, and wait until it is gone."""
        self._missing_is_fine("delete_endpoint", EndpointName=self.name)
        self.await_end(seconds)

    def delete_alarm(self) -> bool:
        """Delete the alarm, if it is ours, and return whether there was one."""
        thing = f"alarm {self.alarm}"
        found = self._aws.call("cloudwatch", "describe_alarms", thing, AlarmNames=[self.alarm])["MetricAlarms"]
        for alarm in found:
            arn = alarm["AlarmArn"]
            owner = self._aws.call("cloudwatch", "list_tags_for_resource", thing, ResourceARN=arn)["Tags"]
            if {"Key": OWNER, "Value": self.name} not in owner:
                return False
            self._aws.call("cloudwatch", "delete_alarms", thing, AlarmNames=[self.alarm])
        return bool(found)

    def delete_configurations(self, keep: Iterable[str] = ()) -> list[str]:
        """Delete our configurations and models but those to keep; a model has the name of its configuration."""
        kept, deleted = set(keep), []
        for kind, key, operation in (
            ("endpoint_configs", "EndpointConfigs", "delete_endpoint_config"),
            ("models", "Models", "delete_model"),
        ):
            prefix = key[:-1]
            for found in self._aws.pages("sagemaker", f"list_{kind}", key, kind, NameContains=self.name[:20]):
                name, arn = found[f"{prefix}Name"], found[f"{prefix}Arn"]
                if name not in kept and self.tags(arn).get(OWNER) == self.name:
                    self._missing_is_fine(operation, **{f"{prefix}Name": name})
                    deleted.append(name)
        return deleted

    def _describe(self) -> dict[str, Any] | None:
        try:
            found = self._aws.call("sagemaker", "describe_endpoint", f"endpoint {self.name}", EndpointName=self.name)
        except AwsError as error:
            if error.is_missing:
                return None
            raise
        return dict(found)

    def _missing_is_fine(self, operation: str, **arguments: str) -> None:
        try:
            self._aws.call("sagemaker", operation, ", ".join(arguments.values()), **arguments)
        except AwsError as error:
            if not error.is_missing:
                raise


def _progress(found: dict[str, Any]) -> str:
    """Return the status of an endpoint, with those of its instances while they are replaced."""
    pending = found.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    states = [state for variant in pending for state in variant.get("VariantStatus", [])]
    inner = ", ".join(dict.fromkeys(state.get("StatusMessage") or state["Status"] for state in states))
    return found["EndpointStatus"] + (f" ({inner})" if inner else "")
