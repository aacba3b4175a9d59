"""The image registry of an AWS account (ECR): the repository of a project, and the login to push to it."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

from ...common.errors import UserError
from ..container_engine import Engine
from .aws import OWNER, Aws, AwsError


class Repository:
    """A repository in the account's registry; `wanted` is its name, with or without the registry before it."""

    def __init__(self, aws: Aws, wanted: str, owner: str) -> None:
        self._aws, self._owner = aws, owner
        answer = aws.call("ecr", "get_authorization_token", "the login to ECR")["authorizationData"][0]
        self._registry = urlsplit(answer["proxyEndpoint"]).netloc
        self._user, _, self._password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
        registry, _, self.name = wanted.partition("/") if "/" in wanted else ("", "", wanted)
        if registry and registry != self._registry:
            raise UserError(
                f"IMAGE_REPOSITORY {wanted!r} is not in ECR of this account and region, from where AWS takes images: "
                f"unset it, or write {self._registry}/{self.name}"
            )

    @property
    def address(self) -> str:
        """The repository's name with its registry."""
        return f"{self._registry}/{self.name}"

    def prepare(self, engine: Engine | None) -> None:
        """Make the repository if there is none, and log in to push to it: with an engine, for twelve hours."""
        thing = f"repository {self.name}"
        try:
            self._aws.call("ecr", "describe_repositories", thing, repositoryNames=[self.name])
        except AwsError as error:
            if not error.is_missing:
                raise
            tags = [{"Key": OWNER, "Value": self._owner}]
            scan = {"scanOnPush": True}
            self._aws.call(
                "ecr", "create_repository", thing, repositoryName=self.name, tags=tags, imageScanningConfiguration=scan
            )
        if engine:
            engine.login(self._registry, self._user, self._password)
