"""Who may approve a version, what an approval names, and which champion is not served without one."""

import json
from collections.abc import Callable
from typing import Any

import mlflow
import pytest
from titanic_survival import config, deploy, promote, sync
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry import history, identity
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.registry.identity import Person
from titanic_survival.toolkit.release.approval import Approval, ApprovalRules, of, same_person
from titanic_survival.toolkit.release.desired import desired_release
from titanic_survival.toolkit.release.store import Store

As = Callable[[str], None]


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry of two versions with the same files; 1 is champion, 2 has passed its gates."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    first = registry.client.get_model_version(project.model_name, "1")
    registry.client.create_model_version(project.model_name, first.source, tags=first.tags)
    for number in (1, 2):
        registry.set_version_tags(number, {"gates": "passed"})
    registry.set_alias("champion", 1)
    return registry


@pytest.fixture
def required(project: config.Settings) -> config.Settings:
    return project.model_copy(update={"approval_required": True})


@pytest.fixture
def strict(project: config.Settings) -> config.Settings:
    return project.model_copy(update={"four_eyes": True})


@pytest.fixture
def as_(monkeypatch: pytest.MonkeyPatch) -> As:
    return lambda name: monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)


@pytest.fixture
def trainer(project: config.Settings) -> str:
    """Return who trained the versions."""
    return str(Store(project.store).load(1).details["by"])


def tampered(registry: Registry, number: int, **changed: Any) -> None:
    """Change an approval, as anybody can who may promote."""
    tag = json.loads(registry.get(str(number)).tags["approval.record"])
    registry.set_version_tags(number, {"approval.record": json.dumps(tag | changed)})


def test_approval_names_the_digest_and_the_champion_is_served(
    required: config.Settings, registry: Registry, as_: As, trainer: str
) -> None:
    as_("grace")
    promote.run(required, "2", "reviewed")
    version = registry.get("2")
    approval = of(version)
    assert approval is not None
    assert (approval.who, approval.digest, approval.trained_by) == ("grace", version.digest, trainer)
    assert approval.why == "reviewed" and not approval.confirmed
    evidence = list(history.recorded(registry.tags()).values())[-1][1]
    gates = Store(required.store).load(1).details["gates"]
    assert evidence is not None and evidence.approved
    assert [gate["metric"] for gate in evidence.gates] == [gate["metric"] for gate in gates] != []
    sync.run(required, once=True)
    release = Store(required.store).release()
    assert release is not None and release.champion == 2


def test_champion_that_nobody_approved_is_not_served(required: config.Settings, registry: Registry) -> None:
    before = Store(required.store).release()
    said = "Version 1 is not served, since nobody has approved it .*: make promote VERSION=1 approves it"
    for serve in (lambda: sync.run(required, once=True), lambda: deploy.run(required), lambda: deploy.plan(required)):
        with pytest.raises(UserError, match=said):
            serve()
    assert Store(required.store).release() == before
    promote.run(required, "1", "in use for years")
    events = history.events(registry)
    assert (events[-1].action, events[-1].source, events[-1].target) == ("approved", 1, 1)
    sync.run(required, once=True)
    promote.run(required, "1", "again")
    assert history.events(registry) == events


def test_alias_moved_in_mlflow_is_not_an_approval(required: config.Settings, registry: Registry) -> None:
    promote.run(required, "1", "")
    registry.set_alias("champion", 2)
    with pytest.raises(UserError, match="Version 2 is not served, since nobody has approved it"):
        sync.run(required, once=True)


@pytest.mark.parametrize("settings", ["project", "required"])
def test_champion_that_was_changed_since_its_approval_is_not_served(
    request: pytest.FixtureRequest, required: config.Settings, registry: Registry, settings: str, as_: As
) -> None:
    as_("grace")
    promote.run(required, "2", "reviewed")
    registry.set_version_tags(2, {"digest": 64 * "0"})
    with pytest.raises(UserError, match=r"grace approved the digest [0-9a-f]{12}, and the registry has 000000000000"):
        sync.run(request.getfixturevalue(settings), once=True)


def test_damaged_approval_is_no_approval(project: config.Settings, registry: Registry) -> None:
    for text in ("", "yes", "[]", "{}", '{"digest": 1}', "[" * 4000):
        registry.set_version_tags(1, {"approval.record": text})
        with pytest.raises(
            UserError, match=r"Version 1 is not served, since its approval, the tag approval\.record, c"
        ):
            sync.run(project, once=True)
    registry.set_version_tags(2, {"approval.record": "", "serve": "true"})
    registry.delete_version_tag(1, "approval.record")
    with pytest.raises(UserError, match="Version 2 is not served"):
        sync.run(project, once=True)


def test_approval_with_values_of_other_kinds_cannot_be_read(required: config.Settings, registry: Registry) -> None:
    promote.run(required, "1", "")
    for changed in ({"digest": ["x"]}, {"who": None}, {"confirmed": "yes"}):
        tampered(registry, 1, **changed)
        with pytest.raises(UserError, match="cannot be read"):
            sync.run(required, once=True)
        promote.run(required, "1", "")


def test_canary_needs_no_approval(required: config.Settings, registry: Registry) -> None:
    promote.run(required, "1", "")
    registry.set_tag("traffic", "champion=90,2=10")
    assert desired_release(registry, approvals=ApprovalRules(required=True)).weights == {1: 90, 2: 10}


def test_who_trained_a_version_may_not_approve_it(
    strict: config.Settings, registry: Registry, trainer: str, as_: As, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (trainer, trainer.partition("@")[0].upper(), f"{trainer.partition('@')[0]}@elsewhere"):
        as_(name)
        for force in (False, True):
            with pytest.raises(UserError, match=r"Version 2 was trained by .* may not approve it: FOUR_EYES is set\."):
                promote.run(strict, "2", "mine", force=force)
    assert registry.get("champion").number == 1
    assert of(registry.get("2")) is None
    as_("another")
    promote.run(strict, "2", "reviewed")
    assert "no MLflow server has confirmed the name another" in capsys.readouterr().out
    sync.run(strict, once=True)


def test_own_approval_from_where_that_was_allowed_is_not_served_where_it_is_not(
    required: config.Settings, strict: config.Settings, registry: Registry, trainer: str, as_: As
) -> None:
    as_(trainer)
    promote.run(required, "2", "mine")
    sync.run(required, once=True)
    with pytest.raises(UserError, match=r"approved it, .* trained it and FOUR_EYES is set: another person"):
        sync.run(strict, once=True)


def test_files_are_verified_before_they_are_approved(required: config.Settings, registry: Registry) -> None:
    registry.set_version_tags(2, {"digest": 64 * "0"})
    with pytest.raises(UserError, match="has 000000000000"):
        promote.run(required, "2", "")
    assert registry.get("champion").number == 1
    assert of(registry.get("2")) is None


def test_rollback_goes_to_versions_that_were_approved(required: config.Settings, registry: Registry) -> None:
    promote.run(required, "2", "")
    with pytest.raises(UserError, match="Version 1 is not served, since nobody has approved it"):
        promote.roll_back(required, "")
    assert registry.get("champion").number == 2
    promote.run(required, "1", "")
    assert promote.roll_back(required, "worse") == 2
    sync.run(required, once=True)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("ada", "ada", True),
        ("Ada", "ada@laptop", True),
        ("ada@laptop", "ada@example.com", True),
        ("ci for ada", "ada", True),
        ("ci for ada", "ci for grace", True),
        ("ci for ada", "deployer for grace", False),
        ("ada", "grace", False),
        ("ada", "", True),
        ("@", "ada", True),
    ],
)
def test_names_that_may_be_of_one_person(first: str, second: str, same: bool) -> None:
    assert same_person(first, second) == same_person(second, first) == same


def test_long_reason_fits_into_the_tags(required: config.Settings, registry: Registry) -> None:
    why = 'ночь "\\ \x1b[31m \udcff ' * 2000 + 'see https://x.org/?token=abc"def" and https://me:secret@x.org'
    promote.run(required, "2", why)
    approval = of(registry.get("2"))
    assert approval is not None and len(approval.why) > 2000
    event = history.events(registry)[-1]
    assert event.why.startswith('ночь "\\ \x1b[31m ? ночь')
    assert all(len(value) <= 5000 for value in mlflow.MlflowClient().get_registered_model(registry.name).tags.values())


def test_secret_in_a_reason_is_hidden_and_the_approval_stays_readable(
    required: config.Settings, registry: Registry
) -> None:
    promote.run(required, "2", 'see https://x.org/?token=abc"def" and https://me:secret@x.org, "said" ada\\')
    approval, event = of(registry.get("2")), history.events(registry)[-1]
    assert approval is not None and approval.why == event.why
    assert "abc" not in event.why and "secret" not in event.why and '"said" ada\\' in event.why


def test_server_confirms_the_user_whom_it_knows(
    guarded: Any, as_user: Callable[[tuple[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(guarded.user("hopper"))
    connect(guarded.url, "any")
    assert identity.person() == Person("hopper", confirmed=True)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    assert identity.person() == Person("hopper for octocat", confirmed=True)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    assert identity.person() == Person("hopper for octocat", confirmed=False)


def test_approval_is_written_before_the_champion_moves(
    required: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        approval = of(registry.get("2"))
        assert isinstance(approval, Approval)
        raise UserError("the server is away")

    monkeypatch.setattr(Registry, "set_alias", fail)
    with pytest.raises(UserError, match="away"):
        promote.run(required, "2", "")
    assert [event.target for event in history.events(registry)] == [1]
