"""The target `sagemaker`, over the wire: moto's server behind the front of `aws_stand_in`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[3]))

from aws_project import IMAGE, NAME, OTHER, PREDICTIONS, ROLE, ROWS, AwsProject
from aws_stand_in import CREDENTIALS, StandIn
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.release.store import Release
from titanic_survival.toolkit.release.targets import RolloutError
from titanic_survival.toolkit.release.targets.aws import OWNER, Aws, explain
from titanic_survival.toolkit.release.targets.ecr import Repository
from titanic_survival.toolkit.release.targets.sagemaker import Options, SageMaker
from titanic_survival.toolkit.release.targets.sagemaker.specification import Specification, release_of


@pytest.fixture(autouse=True)
def container(aws: StandIn) -> None:
    """Have the endpoint predict what the champion does."""
    aws.answer = lambda body, attributes: (200, json.dumps({"predictions": PREDICTIONS}).encode())


class Project(AwsProject):
    """A project that is deployed to SageMaker."""

    def target(self, image: str = IMAGE, seconds: float = 20, **options: Any) -> SageMaker:
        """Return the target."""
        chosen = Options(**({"role": ROLE} | options))
        return SageMaker(NAME, self.store, image, chosen, build=lambda aws: IMAGE, seconds=seconds, poll_seconds=0.01)

    def deploy(self, image: str = IMAGE, **options: Any) -> str:
        """Deploy the store's release, and return what was done."""
        return self.target(image, **options).apply(self.champion).action


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project whose store releases version 1."""
    return Project(tmp_path)


def things(aws: StandIn) -> dict[str, list[str]]:
    """Return the names of everything that there is on SageMaker, and of the alarms."""
    sagemaker, alarms = aws.client("sagemaker"), aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {
        "endpoints": [found["EndpointName"] for found in sagemaker.list_endpoints()["Endpoints"]],
        "configurations": [
            found["EndpointConfigName"] for found in sagemaker.list_endpoint_configs()["EndpointConfigs"]
        ],
        "models": [found["ModelName"] for found in sagemaker.list_models()["Models"]],
        "alarms": [found["AlarmName"] for found in alarms],
    }


def served(aws: StandIn) -> tuple[int, str]:
    """Return the champion and the image that the endpoint has."""
    sagemaker = aws.client("sagemaker")
    name = sagemaker.describe_endpoint(EndpointName=NAME)["EndpointConfigName"]
    model = sagemaker.describe_model(ModelName=name)
    return release_of(model).champion, model["PrimaryContainer"]["Image"]


def test_deploy_makes_an_endpoint_that_answers(aws: StandIn, project: Project, capsys: Any) -> None:
    sent: list[tuple[Any, str]] = []

    def answer(body: bytes, attributes: str) -> tuple[int, bytes]:
        sent.append((json.loads(body), attributes))
        return 200, json.dumps({"predictions": PREDICTIONS}).encode()

    aws.answer = answer
    assert "in service" in project.deploy()
    assert sent == [({"dataframe_records": ROWS}, "version=1")]
    assert "Creating" in capsys.readouterr().out
    assert served(aws) == (1, IMAGE)
    found = things(aws)
    assert [len(names) for names in found.values()] == [1, 1, 1, 1]
    model = aws.client("sagemaker").describe_model(ModelName=found["models"][0])
    assert model["ExecutionRoleArn"] == ROLE
    assert model["PrimaryContainer"]["Environment"]["PORT"] == "8080"
    configuration = aws.client("sagemaker").describe_endpoint_config(EndpointConfigName=found["configurations"][0])
    (variant,) = configuration["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.large", 1)


def test_same_deploy_again_changes_nothing(aws: StandIn, project: Project) -> None:
    project.deploy()
    before = things(aws)
    aws.calls.clear()
    project.deploy()
    assert things(aws) == before
    assert not {call for call in aws.calls if call.startswith(("Create", "Update", "Delete")) and call != "DeleteTags"}


def test_update_is_blue_green_and_keeps_the_deployment_before(aws: StandIn, project: Project, capsys: Any) -> None:
    project.deploy()
    project.release(2)
    project.deploy(OTHER, instances=2)
    assert served(aws) == (2, OTHER)
    (update,) = aws.updates
    policy = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    assert policy["MaximumExecutionTimeoutInSeconds"] >= 600
    alarms = update["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert [alarm["AlarmName"] for alarm in alarms] == things(aws)["alarms"]
    assert "Updating (Baking)" in capsys.readouterr().out
    assert len(things(aws)["models"]) == 2
    project.release(3)
    project.deploy(IMAGE)
    assert sorted(re.findall(r"-v(\d)-", " ".join(things(aws)["models"]))) == ["2", "3"]


def test_update_of_one_instance_shifts_all_traffic_at_once(aws: StandIn, project: Project) -> None:
    project.deploy()
    project.deploy(OTHER)
    routing = aws.updates[0]["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["Type"] == "ALL_AT_ONCE"


def test_serverless_endpoint_has_memory_and_concurrency(aws: StandIn, project: Project) -> None:
    project.deploy(mode="serverless", memory=3072, concurrency=7)
    name = things(aws)["configurations"][0]
    (variant,) = aws.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 7}
    assert "InstanceType" not in variant
    project.deploy(OTHER, mode="serverless")
    assert "DeploymentConfig" not in aws.updates[0]


def test_asynchronous_endpoint_answers_through_s3(aws: StandIn, project: Project) -> None:
    location = {"LocationConstraint": "eu-central-1"}
    aws.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration=location)
    project.deploy(mode="asynchronous", output="s3://bucket/models")
    name = things(aws)["configurations"][0]
    found = aws.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)
    assert found["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"] == "s3://bucket/models/answers"
    assert "Contents" not in aws.client("s3").list_objects_v2(Bucket="bucket")
    aws.answer = lambda body, attributes: (500, b"out of memory")
    with pytest.raises(UserError, match="out of memory"):
        project.deploy(OTHER, mode="asynchronous", output="s3://bucket/models")
    assert served(aws) == (1, IMAGE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"role": ""}, "SAGEMAKER_ROLE is not set"),
        ({"role": "models"}, "SAGEMAKER_ROLE 'models' is no ARN"),
        ({"mode": "asynchronous"}, "SAGEMAKER_OUTPUT ''.*s3://bucket"),
    ],
)
def test_settings_that_cannot_work_change_nothing(
    aws: StandIn, project: Project, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        project.deploy(**options)
    assert not any(things(aws).values())


def test_failed_first_deploy_leaves_nothing_and_has_the_reason(aws: StandIn, project: Project) -> None:
    aws.failures.append("The primary container did not pass the ping health check.")
    with pytest.raises(UserError, match=r"did not pass the ping health check.*aws logs tail /aws/sagemaker"):
        project.deploy()
    assert not any(things(aws).values())


def test_failed_update_leaves_what_ran(aws: StandIn, project: Project) -> None:
    project.deploy()
    before = things(aws)
    project.release(2)
    aws.failures.append("Alarm titanic-survival-errors is in state ALARM")
    with pytest.raises(RolloutError, match="state ALARM"):
        project.deploy(OTHER)
    assert served(aws) == (1, IMAGE)
    assert things(aws) == before


def test_wrong_predictions_go_back(aws: StandIn, project: Project) -> None:
    project.deploy()
    before = things(aws)
    project.release(2)
    wrong = [{"survived": "no", "probability": 0.1}, {"survived": "no"}]
    aws.answer = lambda body, attributes: (200, json.dumps({"predictions": wrong}).encode())
    with pytest.raises(RolloutError, match="predicts otherwise than version 2"):
        project.deploy(OTHER)
    assert served(aws) == (1, IMAGE)
    assert things(aws) == before


def test_container_error_goes_back_and_is_told(aws: StandIn, project: Project) -> None:
    project.deploy()
    aws.answer = lambda body, attributes: (503, b"no version is loaded yet")
    with pytest.raises(RolloutError, match=r"golden request failed.*no version is loaded"):
        project.deploy(OTHER)
    assert served(aws) == (1, IMAGE)


def test_timeout_says_so_and_the_next_deploy_ends_it(aws: StandIn, project: Project) -> None:
    aws.on_create = ["Creating"] * 1000
    with pytest.raises(UserError, match=r"still Creating after .*SAGEMAKER_SECONDS.*make deploy again"):
        project.deploy(seconds=0.1)
    aws.statuses.clear()
    project.deploy()
    assert served(aws) == (1, IMAGE)
    assert "reason" not in project.target().running().details  # type: ignore[union-attr]


OPERATIONS = ["CreateModel", "CreateEndpointConfig", "PutMetricAlarm", "CreateEndpoint", "InvokeEndpoint", "AddTags"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_deploy_that_is_interrupted_is_ended_by_the_next(
    aws: StandIn, project: Project, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    original = Aws.call

    def call(self: Aws, service: str, name: str, thing: str, **arguments: Any) -> Any:
        if name.replace("_", "") == operation.lower():
            raise Killed
        return original(self, service, name, thing, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Aws, "call", call)
        with pytest.raises(Killed):
            project.deploy()
    project.deploy()
    assert served(aws) == (1, IMAGE)
    assert [len(names) for names in things(aws).values()] == [1, 1, 1, 1]
    project.target().remove()
    assert not any(things(aws).values())


def test_rollback_runs_the_deployment_before(aws: StandIn, project: Project) -> None:
    project.deploy()
    with pytest.raises(UserError, match="no earlier deployment"):
        project.target().rollback(1)
    project.release(2)
    project.deploy(OTHER)
    with pytest.raises(UserError, match="served version 1, not 7"):
        project.target().rollback(7)
    assert project.target().rollback(1).champion == 1
    assert served(aws) == (1, IMAGE)
    assert project.target().rollback(2).champion == 2
    assert served(aws) == (2, OTHER)


def test_plan_prints_the_change_and_makes_none(aws: StandIn, project: Project, capsys: Any) -> None:
    first = project.release(1)
    assert project.target("").plan(first)
    assert "built and pushed by deploy" in capsys.readouterr().out
    assert not any(things(aws).values())
    project.deploy()
    assert not project.target().plan(first)
    assert not project.target("").plan(first)
    before, second = things(aws), project.release(2)
    assert project.target(OTHER, instances=3).plan(second)
    output = capsys.readouterr().out
    assert "1 x ml.m5.large" in output
    assert "3 x ml.m5.large" in output
    assert "version 2" in output
    assert things(aws) == before


def test_status_has_release_health_and_image(aws: StandIn, project: Project) -> None:
    assert project.target().running() is None
    project.deploy()
    running = project.target().running()
    assert running is not None
    assert (running.health, running.release.champion, running.details["image"]) == ("ready", 1, IMAGE)
    assert running.url.endswith(f"/endpoints/{NAME}/invocations")


def test_release_of_many_versions_is_kept_whole(aws: StandIn, project: Project) -> None:
    numbers = range(1, 31)
    digests = dict.fromkeys(numbers, 64 * "d")
    release = Release.now("titanic", 1, dict.fromkeys(numbers, ("a",)), digests=digests)
    project.store.write(release)
    project.deploy()
    running = project.target().running()
    assert running is not None
    assert running.release.same_as(release)


def test_undeploy_deletes_what_was_made_and_nothing_else(aws: StandIn, project: Project) -> None:
    sagemaker = aws.client("sagemaker")
    # Of someone else, under names that look like ours.
    foreign = f"{NAME}-v1-000000000000"
    sagemaker.create_model(ModelName=foreign, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "main", "ModelName": foreign, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=foreign, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=f"{NAME}-2", EndpointConfigName=foreign)
    before = things(aws)
    project.deploy()
    project.deploy(OTHER)
    assert project.target().remove()
    assert things(aws) == before
    assert not project.target().remove()


def test_endpoint_of_someone_else_is_left_alone(aws: StandIn, project: Project) -> None:
    project.deploy()
    sagemaker = aws.client("sagemaker")
    arn = sagemaker.describe_endpoint(EndpointName=NAME)["EndpointArn"]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=[OWNER])
    for use in (lambda: project.deploy(OTHER), lambda: project.target().remove()):
        with pytest.raises(UserError, match=r"made by someone else.*SAGEMAKER_ENDPOINT"):
            use()
    assert served(aws) == (1, IMAGE)


ERRORS = [
    ("CreateModel", "AccessDeniedException", "User x is not authorized to perform: sagemaker:CreateModel", "rights of"),
    ("CreateModel", "AccessDeniedException", "not authorized to perform: iam:PassRole on resource", "iam:PassRole"),
    ("CreateModel", "ValidationException", "Could not assume role arn:aws:iam::1:role/x", "cannot use the role"),
    ("CreateModel", "ValidationException", "Requested image 1.dkr/x not found", "does not find the image"),
    ("CreateEndpoint", "ResourceLimitExceeded", "limit 'ml.m5.large for endpoint usage' is 0 Instances", "A quota"),
    ("CreateEndpointConfig", "ValidationException", "instanceType ml.x failed to satisfy enum", "rejects a value"),
    ("CreateEndpoint", "ThrottlingException", "Rate exceeded", "throttled"),
    ("DescribeEndpoint", "ExpiredTokenException", "The security token included is expired", "have expired"),
    ("DescribeEndpoint", "UnrecognizedClientException", "The security token is invalid", "does not accept"),
]


@pytest.mark.parametrize(("operation", "code", "words", "sentence"), ERRORS)
def test_error_of_aws_is_a_sentence_and_leaves_nothing(
    aws: StandIn,
    project: Project,
    operation: str,
    code: str,
    words: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the retries of what is throttled
    aws.fail(operation, code, words)
    with pytest.raises(UserError, match=f"(?s){sentence}.*{NAME}.*{re.escape(words)}"):
        project.deploy()
    assert not any(things(aws).values())


def test_error_on_the_way_back_is_told_too(aws: StandIn, project: Project) -> None:
    project.deploy()
    aws.answer = lambda body, attributes: (500, b"broken")
    original = aws.handle

    def handle(operation: str, body: bytes) -> Any:
        if operation == "InvokeEndpoint":
            aws.fail("UpdateEndpoint", "AccessDeniedException", "not authorized")
        return original(operation, body)

    aws.handle = handle  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"(?s)broken.*Going back failed too.*may not do it"):
        project.deploy(OTHER)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AWS_REGION": None}, "set AWS_REGION"),
        ({"AWS_PROFILE": "missing"}, "AWS_PROFILE"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "No AWS credentials.*aws sso login"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "cannot be reached.*AWS_REGION"),
    ],
)
def test_environment_without_aws_names_what_is_missing(
    aws: StandIn, project: Project, monkeypatch: pytest.MonkeyPatch, change: dict[str, str | None], words: str
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("titanic_survival.toolkit.release.targets.aws.ATTEMPTS", 1)
    change = CREDENTIALS | {"AWS_ENDPOINT_URL": aws.url} | change
    for name, value in change.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=words):
        project.deploy()


def test_value_that_boto3_rejects_is_named(aws: StandIn, project: Project) -> None:
    with pytest.raises(UserError, match=r"configuration titanic-survival.*InitialInstanceCount"):
        project.deploy(instances=0)


def test_names_depend_on_what_is_deployed_and_fit() -> None:
    release = Release.now("titanic", 12, {12: ("champion",)})
    options = Options(ROLE)
    name = Specification("a" * 63, release, IMAGE, options).name
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)
    again = release.model_copy(update={"created": Release.now("x", 1, {}).created})
    assert Specification("a" * 63, again, IMAGE, options).name == name
    assert Specification("a" * 63, release, OTHER, options).name != name
    assert Specification("a" * 63, release, IMAGE, options._replace(memory=1024)).name != name


def test_repository_is_made_once_and_logged_in_to(aws: StandIn) -> None:
    logins = []
    engine: Any = SimpleNamespace(login=lambda *words: logins.append(words))
    for _ in range(2):
        repository = Repository(Aws(), NAME, NAME)
        repository.prepare(engine)
    assert repository.address == f"registry.example.com/{NAME}"
    assert logins == [("registry.example.com", "AWS", "a-token-of-twelve-hours")] * 2
    (found,) = aws.client("ecr").describe_repositories()["repositories"]
    tags = aws.client("ecr").list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    assert tags == [{"Key": OWNER, "Value": NAME}]
    assert Repository(Aws(), f"registry.example.com/team/{NAME}", NAME).name == f"team/{NAME}"
    with pytest.raises(UserError, match=r"IMAGE_REPOSITORY 'docker.io/x' is not in ECR.*registry.example.com/x"):
        Repository(Aws(), "docker.io/x", NAME)


def test_explanations_are_told_apart_by_code_first() -> None:
    assert "quota" in explain("ResourceLimitExceeded", "role x cannot use more").lower()
    assert "use the role" in explain("ValidationException", "Could not assume role arn:x")
    assert explain("Weird", "") == "AWS did not do it"
