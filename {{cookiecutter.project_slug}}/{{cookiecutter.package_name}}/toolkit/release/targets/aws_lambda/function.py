"""A function, its versions, the alias that callers reach, and the alias' URL."""

from __future__ import annotations

import time
from typing import Any

from ....common import console
from ....common.errors import UserError
from .. import RolloutError
from ..aws import OWNER, Aws, AwsError

ALIAS = "live"
#: Tag of a function: the version that the alias had before.
PREVIOUS = "model-service:previous"


class Function:
    """One function by its name; `poll_seconds` pass between two looks at it."""

    def __init__(self, aws: Aws, name: str, seconds: float, poll_seconds: float = 2) -> None:
        self._aws, self.name, self._seconds, self._poll = aws, name, seconds, poll_seconds

    def call(self, operation: str, **arguments: Any) -> Any:
        """Return the answer to an operation on the function."""
        return self._aws.call("lambda", operation, f"function {self.name}", FunctionName=self.name, **arguments)

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Return the answer to an operation, None if there is no such thing."""
        try:
            return self.call(operation, **arguments)
        except AwsError as error:
            if error.is_missing:
                return None
            raise

    def describe(self) -> dict[str, Any] | None:
        """Return what Lambda says of the function, None if there is none; `UserError` if it is not ours."""
        found: dict[str, Any] | None = self.ask("get_function")
        if found and found.get("Tags", {}).get(OWNER) != self.name:
            raise UserError(
                f"The function {self.name} was made by someone else, and is left as it is. Choose another name: "
                "LAMBDA_FUNCTION"
            )
        return found

    def wait(self, version: str = "$LATEST") -> dict[str, Any]:
        """Return the configuration of a version once it is ready; `RolloutError` has Lambda's reason if it fails."""
        deadline, said = time.monotonic() + self._seconds, ""
        while True:
            found: dict[str, Any] = self.call("get_function_configuration", Qualifier=version)
            state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
            if "Failed" in (state, update):
                reason = found.get("StateReason") or found.get("LastUpdateStatusReason") or "Lambda names no reason"
                raise RolloutError(f"The function {self.name} did not become ready: {reason}")
            if state in ("Active", "Inactive") and update == "Successful":
                return found
            if (now := f"{state}, update {update}") != said:
                console.say(f"  {self.name}: {now}")
                said = now
            if time.monotonic() > deadline:
                raise UserError(
                    f"The function {self.name} is not ready after {self._seconds:g} s ({now}): run it again"
                )
            time.sleep(self._poll)

    def live(self) -> str:
        """Return the version that the alias has, "" without one."""
        found = self.ask("get_alias", Name=ALIAS)
        return str(found["FunctionVersion"]) if found else ""

    def point(self, version: str) -> None:
        """Have the alias lead to a version, in one step."""
        operation = "update_alias" if self.live() else "create_alias"
        self.call(operation, Name=ALIAS, FunctionVersion=version)

    def url(self, *, is_public: bool) -> str:
        """Return the alias' URL, which is made if there is none; signed requests only, unless it is public."""
        auth = "NONE" if is_public else "AWS_IAM"
        found = self.ask("get_function_url_config", Qualifier=ALIAS)
        if found is None:
            found = self.call("create_function_url_config", Qualifier=ALIAS, AuthType=auth)
        elif found["AuthType"] != auth:
            found = self.call("update_function_url_config", Qualifier=ALIAS, AuthType=auth)
        self._permit(is_public)
        return str(found["FunctionUrl"]).rstrip("/")

    def _permit(self, is_public: bool) -> None:
        """Allow everyone to call the URL, or no one whom the account's own policies do not allow it."""
        rules: dict[str, dict[str, Any]] = {
            "public-url": {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
            "public-function": {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
        }
        for statement, rule in rules.items():
            if not is_public:
                self.ask("remove_permission", StatementId=statement, Qualifier=ALIAS)
                continue
            try:
                self.call("add_permission", StatementId=statement, Principal="*", Qualifier=ALIAS, **rule)
            except AwsError as error:
                if error.code != "ResourceConflictException":  # it is there
                    raise

    def delete_versions(self, keep: tuple[str, ...]) -> None:
        """Delete the versions but those to keep."""
        thing = f"versions of {self.name}"
        for found in self._aws.pages("lambda", "list_versions_by_function", "Versions", thing, FunctionName=self.name):
            if found["Version"] not in (*keep, "$LATEST"):
                self.ask("delete_function", Qualifier=found["Version"])
