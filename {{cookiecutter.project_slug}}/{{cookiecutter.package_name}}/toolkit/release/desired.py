"""The registry's release: what should be served.

alias champion                    answers requests that name no version
version tag serve=true            keeps a version served beside the champion, for months if needed
model tag traffic                 traffic weights in percent, such as "champion=90,challenger=10"
model tag shadow                  versions that score the champion's rows too, unseen by callers, such as "challenger"
"""

from __future__ import annotations

from ..common.errors import UserError
from ..common.names import CHALLENGER, CHAMPION, SERVE, SHADOW, TRAFFIC
from ..registry.client import RegisteredVersion, Registry, find
from .approval import ApprovalRules
from .store import Release


def desired_release(
    registry: Registry,
    versions: list[RegisteredVersion] | None = None,
    approvals: ApprovalRules | None = None,
    tags: dict[str, str] | None = None,
) -> Release:
    """Return the registry's release; `UserError` names a tag that cannot be used, or an approval that is missing.

    `versions` are all that the registry has, `tags` those of the model.
    """
    versions = registry.versions() if versions is None else versions
    tags = registry.tags() if tags is None else tags
    champion = _champion(registry, versions)
    weights = _weights(versions, tags.get(TRAFFIC, ""))
    shadows = {_named(versions, name, SHADOW).number for name in _list(tags.get(SHADOW, ""))} - {champion.number}
    used = {champion.number, *weights, *shadows}
    released = [version for version in versions if version.number in used or version.tags.get(SERVE) == "true"]
    for version in released:
        # A canary is tried before it is approved; whatever was approved must be what was approved.
        rules = approvals if approvals and version.number == champion.number else ApprovalRules()
        if problem := rules.problem(version):
            raise UserError(problem)
    return Release.now(
        registry.name,
        champion.number,
        {version.number: version.aliases for version in released},
        digests={version.number: version.digest for version in released},
        weights=weights,
        shadows=tuple(sorted(shadows)),
    )


def _champion(registry: Registry, versions: list[RegisteredVersion]) -> RegisteredVersion:
    champion = find(versions, CHAMPION)
    if champion is None:
        command = f"make promote VERSION={versions[0].number}" if versions else "make train"
        raise UserError(
            f"{registry.name} has no {CHAMPION} in {registry.uri}, so there is nothing to serve. First: {command}"
        )
    return champion


def _weights(versions: list[RegisteredVersion], text: str) -> dict[int, int]:
    """Return the traffic weights in percent by version number; empty if the champion gets all traffic."""
    weights: dict[int, int] = {}
    for part in _list(text):
        name, _, percent = part.partition("=")
        if not percent.strip().isdigit():
            raise UserError(
                f"model tag {TRAFFIC} {text!r}: write traffic weights in percent, for example "
                f"{CHAMPION}=90,{CHALLENGER}=10"
            )
        number = _named(versions, name.strip(), TRAFFIC).number
        weights[number] = weights.get(number, 0) + int(percent)
    if weights and sum(weights.values()) != 100:
        raise UserError(f"model tag {TRAFFIC} {text!r}: the weights add up to {sum(weights.values())}, not to 100")
    return weights


def _named(versions: list[RegisteredVersion], name: str, tag: str) -> RegisteredVersion:
    version = find(versions, name)
    if version is None:
        raise UserError(f"model tag {tag}: there is no version {name!r}; use an alias or a number")
    return version


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
