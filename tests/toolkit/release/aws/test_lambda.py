"""The target `lambda`, over the wire: moto's server behind the front of `aws_stand_in`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_project import IMAGE, NAME, OTHER, PREDICTIONS, ROLE, ROWS, AwsProject
from aws_stand_in import StandIn
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.release.targets import RolloutError
from titanic_survival.toolkit.release.targets.aws import OWNER, Aws
from titanic_survival.toolkit.release.targets.aws_lambda import AwsLambda, Options
from titanic_survival.toolkit.release.targets.aws_lambda.target import RELEASE


@pytest.fixture(autouse=True)
def account(aws: StandIn) -> list[Any]:
    """Have an account with a role, whose function predicts what the champion does; return the events that it gets."""
    policy = {"Version": "2012-10-17", "Statement": []}
    aws.client("iam").create_role(RoleName="models", AssumeRolePolicyDocument=json.dumps(policy))
    events: list[Any] = []

    def answer(event: Any, path: str) -> tuple[str, Any]:
        events.append((event, path))
        return "", {"statusCode": 200, "body": json.dumps(PREDICTIONS)}

    aws.function = answer
    return events


class Project(AwsProject):
    """A project that is deployed to Lambda."""

    def target(self, image: str = IMAGE, **options: Any) -> AwsLambda:
        """Return the target."""
        chosen = Options(**({"role": ROLE} | options))
        return AwsLambda(NAME, self.store, image, chosen, build=lambda aws: IMAGE, seconds=5, poll_seconds=0.01)

    def deploy(self, image: str = IMAGE, **options: Any) -> Any:
        """Deploy the store's release, and return what was done."""
        return self.target(image, **options).apply(self.champion)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project whose store releases version 1."""
    return Project(tmp_path)


def live(aws: StandIn) -> dict[str, Any]:
    """Return what callers reach."""
    return dict(aws.client("lambda").get_function(FunctionName=NAME, Qualifier="live"))


def champion(aws: StandIn) -> int:
    """Return the champion that callers reach: in moto, all versions of a function have the image of the last."""
    return int(json.loads(live(aws)["Configuration"]["Environment"]["Variables"][RELEASE])["champion"])


def functions(aws: StandIn) -> list[str]:
    """Return the names of all functions."""
    return [found["FunctionName"] for found in aws.client("lambda").list_functions()["Functions"]]


def test_deploy_makes_a_function_that_answers(aws: StandIn, project: Project, account: list[Any]) -> None:
    rollout = project.deploy(memory=1024, timeout=20)
    ((event, path),) = account
    assert event["rawPath"] == "/versions/1/predict"
    assert json.loads(event["body"]) == ROWS
    found = live(aws)
    assert f"Qualifier={found['Configuration']['Version']}" in path
    assert found["Code"]["ImageUri"] == IMAGE
    assert (found["Configuration"]["MemorySize"], found["Configuration"]["Timeout"]) == (1024, 20)
    url = aws.client("lambda").get_function_url_config(FunctionName=NAME, Qualifier="live")
    assert url["AuthType"] == "AWS_IAM"
    assert rollout.url == url["FunctionUrl"].rstrip("/")
    assert "--aws-sigv4 aws:amz:eu-central-1:lambda" in rollout.call


def test_public_function_takes_any_request_until_it_is_not_public(aws: StandIn, project: Project) -> None:
    assert project.deploy(public=True).call == ""
    client = aws.client("lambda")
    assert client.get_function_url_config(FunctionName=NAME, Qualifier="live")["AuthType"] == "NONE"
    policy = f"/2015-03-31/functions/{NAME}/policy"
    assert aws.calls.count(f"POST {policy}") == 2
    project.deploy()
    assert client.get_function_url_config(FunctionName=NAME, Qualifier="live")["AuthType"] == "AWS_IAM"
    assert f"DELETE {policy}/public-url" in aws.calls


def test_callers_reach_a_version_only_after_it_has_answered(aws: StandIn, project: Project) -> None:
    project.deploy()
    project.release(2)
    reached = []

    def answer(event: Any, path: str) -> tuple[str, Any]:
        reached.append(champion(aws))
        return "", {"statusCode": 200, "body": json.dumps(PREDICTIONS)}

    aws.function = answer
    project.deploy(OTHER)
    assert reached == [1]
    assert champion(aws) == 2


WRONG = {"statusCode": 200, "body": json.dumps([{"survived": "no", "probability": 0.7}, {"survived": "no"}])}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (("Unhandled", {"errorMessage": "Runtime exited with error: exit status 1"}), "exit status 1.*aws logs tail"),
        (("", {"statusCode": 503, "body": "no version is loaded yet"}), "no version is loaded yet"),
        (("", WRONG), "predicts otherwise than version"),
    ],
)
def test_failed_deploy_leaves_what_ran(aws: StandIn, project: Project, answer: Any, words: str) -> None:
    good = aws.function
    aws.function = lambda event, path: answer
    with pytest.raises(UserError, match=words):
        project.deploy()
    assert functions(aws) == []
    aws.function = good
    project.deploy()
    version = live(aws)["Configuration"]["Version"]
    aws.function = lambda event, path: answer
    project.release(2)
    with pytest.raises(RolloutError, match=words):
        project.deploy(OTHER)
    assert champion(aws) == 1
    assert live(aws)["Configuration"]["Version"] == version


def test_rollback_runs_the_version_before(aws: StandIn, project: Project) -> None:
    project.deploy()
    with pytest.raises(UserError, match="no earlier deployment"):
        project.target().rollback(1)
    project.release(2)
    project.deploy(OTHER)
    with pytest.raises(UserError, match="served version 1, not 7"):
        project.target().rollback(7)
    assert project.target().rollback(1).champion == champion(aws) == 1
    assert project.target().rollback(2).champion == champion(aws) == 2


def test_plan_and_status(aws: StandIn, project: Project, capsys: Any) -> None:
    first = project.release(1)
    assert project.target().running() is None
    assert project.target("").plan(first)
    assert "built and pushed by deploy" in capsys.readouterr().out
    assert functions(aws) == []
    project.deploy()
    assert not project.target().plan(first)
    running = project.target().running()
    assert running is not None
    assert (running.health, running.release.champion, running.details["image"]) == ("ready", 1, IMAGE)
    assert project.target(memory=4096).plan(first)
    assert project.target(OTHER).plan(project.release(2))
    assert live(aws)["Code"]["ImageUri"] == IMAGE


@pytest.mark.parametrize("operation", ["publish_version", "invoke", "create_alias", "create_function_url_config"])
def test_deploy_that_is_interrupted_is_ended_by_the_next(
    aws: StandIn, project: Project, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    original = Aws.call

    def call(self: Aws, service: str, name: str, thing: str, **arguments: Any) -> Any:
        if name == operation:
            raise Killed
        return original(self, service, name, thing, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Aws, "call", call)
        with pytest.raises(Killed):
            project.deploy()
    project.deploy()
    assert live(aws)["Code"]["ImageUri"] == IMAGE
    assert project.target().running() is not None


def test_undeploy_deletes_the_function_and_nothing_else(aws: StandIn, project: Project) -> None:
    code = {"ImageUri": IMAGE}
    aws.client("lambda").create_function(FunctionName=f"{NAME}-2", Role=ROLE, PackageType="Image", Code=code)
    project.deploy()
    assert project.target().remove()
    assert functions(aws) == [f"{NAME}-2"]
    assert not project.target().remove()


def test_function_of_someone_else_is_left_alone(aws: StandIn, project: Project) -> None:
    project.deploy()
    client = aws.client("lambda")
    arn = client.get_function(FunctionName=NAME)["Configuration"]["FunctionArn"]
    client.untag_resource(Resource=arn, TagKeys=[OWNER])
    for use in (lambda: project.deploy(OTHER), lambda: project.target().remove()):
        with pytest.raises(UserError, match=r"made by someone else.*LAMBDA_FUNCTION"):
            use()
    assert live(aws)["Code"]["ImageUri"] == IMAGE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"role": ""}, "LAMBDA_ROLE is not set"),
        ({"role": "arn:aws:iam::123456789012:role/none"}, "cannot use the role"),
    ],
)
def test_role_that_cannot_work_is_named(aws: StandIn, project: Project, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        project.deploy(**options)
    assert functions(aws) == []
