"""The target: plan, apply, status, rollback and removal of a function of AWS Lambda."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ....common import console
from ....common.errors import UserError
from ....version.artifact import Artifact
from ...store import Release, Store
from .. import Deployment, Rollout
from ..aws import OWNER, Aws
from . import golden
from .function import ALIAS, PREVIOUS, Function

#: The variable of the function that has its release.
RELEASE = "DEPLOYED_RELEASE"


class Options(NamedTuple):
    """How a function runs; the names of the settings have LAMBDA_ before these."""

    role: str
    memory: int = 2048
    timeout: int = 30
    public: bool = False
    #: Settings of the service, as variables of the function.
    environment: Mapping[str, str] = {}

    def check(self) -> None:
        """Raise `UserError` for a role that is none."""
        if not re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", self.role):
            text = f"LAMBDA_ROLE {self.role!r} is no ARN of a role" if self.role else "LAMBDA_ROLE is not set"
            raise UserError(f"{text}: write arn:aws:iam::123456789012:role/name; docs/aws.md says what it needs")


class AwsLambda:
    """Runs the store's release as a function; `build` pushes an image to ECR and returns its name by digest.

    Each deploy publishes a version of the function. Callers reach the alias, which leads to a version only after that
    has answered rows of the hold-out; so a deploy that fails, or is interrupted, changes nothing for them.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        image: str,
        options: Options,
        *,
        build: Callable[[Aws], str],
        authorization: str = "",
        seconds: float = 300,
        poll_seconds: float = 2,
    ) -> None:
        self._name, self._store, self._image, self._options = name, store, image, options
        self._build, self._authorization = build, authorization
        self._aws = Aws()
        self._function = Function(self._aws, name, seconds, poll_seconds)

    @property
    def place(self) -> str:
        """The region and the function."""
        return f"{self._aws.region}/{self._name}"

    def plan(self, release: Release) -> bool:
        """Print what `apply` would change, and return whether it would change anything."""
        self._options.check()
        live = self._live()
        running, image = (_release(live), live["Code"]["ImageUri"]) if live else (None, "")
        after = self._image or image
        new = self._configuration(release)
        if live and release.same_as(running) and image == after and _differs(live["Configuration"], new) == []:
            return False
        console.table(
            ["", "now", "after deploy"],
            [
                ["image", image or "-", self._image or "built and pushed by deploy"],
                ["champion", str(running.champion) if running else "-", str(release.champion)],
                ["versions", running.summary() if running else "-", release.summary()],
                ["memory", f"{live['Configuration']['MemorySize']} MB" if live else "-", f"{new['MemorySize']} MB"],
            ],
        )
        return True

    def apply(self, champion: Artifact) -> Rollout:
        """Run the store's release; `UserError` has AWS's reason, and what ran before runs then."""
        release, function = self._store.required_release(), self._function
        self._options.check()
        found = function.describe()
        image = self._image or self._build(self._aws)
        before = function.live() if found else ""
        version = ""
        try:
            version = self._publish(found, image, self._configuration(release))
            golden.check(function, version, champion, release.champion, self._authorization)
        except UserError:
            if not before:
                console.say("The deployment failed; removing what was made")
                function.ask("delete_function")
            elif version and version != before:
                console.say(f"The deployment failed; version {before} of the function stays")
                function.ask("delete_function", Qualifier=version)
            raise
        if version != before:
            arn = function.call("get_function_configuration")["FunctionArn"]
            if before:
                self._aws.call("lambda", "tag_resource", self._name, Resource=arn, Tags={PREVIOUS: before})
            function.point(version)
            function.delete_versions((version, before))
        url = function.url(is_public=self._options.public)
        action = "checked with rows of the hold-out before it took requests"
        return Rollout(url, action, image, self._call(url, champion))

    def running(self) -> Deployment | None:
        """Return the function in operation, None if there is none."""
        live = self._live()
        if live is None:
            return None
        configuration = live["Configuration"]
        details = {
            "region": self._aws.region,
            "image": live["Code"]["ImageUri"],
            "runs on": f"Lambda, {configuration['MemorySize']} MB, version {configuration['Version']}",
        }
        url = self._function.ask("get_function_url_config", Qualifier=ALIAS)
        since = datetime.fromisoformat(configuration["LastModified"])
        health = "ready" if configuration.get("State", "Active") in ("Active", "Inactive") else configuration["State"]
        return Deployment(url["FunctionUrl"] if url else "-", health, _release(live), since, details)

    def rollback(self, champion: int) -> Release:
        """Run what the last deploy replaced, and return its release; `UserError` if its champion is another."""
        found = self._function.describe()
        previous = found["Tags"].get(PREVIOUS, "") if found else ""
        old = self._function.ask("get_function", Qualifier=previous) if previous else None
        if not found or not old:
            raise UserError(f"There is no earlier deployment of the function {self._name}")
        release = _release(old)
        if release.champion != champion:
            text = f"The deployment before served version {release.champion}, not {champion}"
            raise UserError(f"{text}. To serve {champion}: make deploy")
        arn, tags = found["Configuration"]["FunctionArn"], {PREVIOUS: self._function.live()}
        self._function.point(previous)
        self._aws.call("lambda", "tag_resource", self._name, Resource=arn, Tags=tags)
        return release

    def remove(self) -> bool:
        """Delete the function with its versions, alias and URL; images stay in ECR, logs in CloudWatch."""
        if self._function.describe() is None:
            return False
        self._function.ask("delete_function")
        return True

    def _live(self) -> dict[str, Any] | None:
        """Return what the alias leads to."""
        if self._function.describe() is None:
            return None
        found: dict[str, Any] | None = self._function.ask("get_function", Qualifier=ALIAS)
        return found

    def _configuration(self, release: Release) -> dict[str, Any]:
        created = release.created.replace(microsecond=0)
        variables = {
            **self._options.environment,
            RELEASE: release.model_copy(update={"created": created}).model_dump_json(),
        }
        return {
            "Role": self._options.role,
            "MemorySize": self._options.memory,
            "Timeout": self._options.timeout,
            "Environment": {"Variables": variables},
        }

    def _publish(self, found: dict[str, Any] | None, image: str, configuration: dict[str, Any]) -> str:
        """Return the version of the function that has an image and a configuration; it is made if there is none."""
        function = self._function
        if found is None:
            code, tags = {"ImageUri": image}, {OWNER: self._name}
            function.call("create_function", PackageType="Image", Code=code, Tags=tags, **configuration)
        else:
            now = function.wait()
            if found["Code"]["ImageUri"] != image:
                function.call("update_function_code", ImageUri=image)
                function.wait()
            if _differs(now, configuration):
                function.call("update_function_configuration", **configuration)
        function.wait()
        # Lambda returns the version that there is, if nothing has changed since.
        version = str(function.call("publish_version")["Version"])
        function.wait(version)
        return version

    def _call(self, url: str, champion: Artifact) -> str:
        """Return a line for a shell that sends a signed request; "" if none is needed."""
        if self._options.public:
            return ""
        keys = '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -H "x-amz-security-token: $AWS_SESSION_TOKEN"'
        start = f"curl -s {url}/predict --aws-sigv4 aws:amz:{self._aws.region}:lambda {keys}"
        return f"{start} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(champion.example.rows[:1]))}"


def _release(function: dict[str, Any]) -> Release:
    return Release.model_validate_json(function["Configuration"]["Environment"]["Variables"][RELEASE])


def _differs(now: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Return what of a function's configuration is not as wanted; the time of the release does not count."""

    def comparable(configuration: dict[str, Any]) -> dict[str, Any]:
        variables = dict(configuration.get("Environment", {}).get("Variables", {}))
        release = json.loads(variables.pop(RELEASE, "{}"))
        release.pop("created", None)
        return {
            **{key: configuration.get(key) for key in ("Role", "MemorySize", "Timeout")},
            "variables": variables,
            "release": release,
        }

    before, after = comparable(now), comparable(wanted)
    return [key for key, value in after.items() if value != before[key]]
