"""What the registry wants served, and how the store is brought there.

alias champion                    answers where no version is named
version tag serve=true            keeps a version online beside it, for months if need be
model tag traffic                 "champion=90,challenger=10" shares the callers out
model tag shadow                  "challenger" scores the champion's rows too, and is only counted
"""

from __future__ import annotations

from contextlib import suppress

from ..common.errors import UserError
from ..common.names import CHAMPION, SERVE, SHADOW, TRAFFIC
from ..registry.client import RegisteredVersion, Registry
from .store import Release, Store


def desired(registry: Registry) -> Release:
    """Return the release that the registry wants; `UserError` names what it says and cannot mean."""
    versions, tags = registry.versions(), registry.tags()
    champion = _champion(registry, versions)
    shares = _shares(versions, tags.get(TRAFFIC, ""))
    shadows = {_find(versions, name, SHADOW).number for name in _list(tags.get(SHADOW, ""))} - {champion.number}
    named = {champion.number, *shares, *shadows}
    wanted = [version for version in versions if version.number in named or version.tags.get(SERVE) == "true"]
    return Release.now(
        registry.name,
        champion.number,
        {version.number: version.aliases for version in wanted},
        digests={version.number: version.digest for version in wanted},
        shares=shares,
        shadows=tuple(sorted(shadows)),
    )


def converge(registry: Registry, store: Store) -> Release:
    """Bring the versions that the registry wants into the store, and return the release that is in force then."""
    release = desired(registry)
    missing = {number: digest for number, digest in release.digests.items() if not store.holds(number, digest)}
    for number, digest in missing.items():
        store.pull(number, digest, registry.download)
    current = None
    with suppress(UserError):  # a release that cannot be read is replaced
        current = store.release()
    # A version that was mended is released anew: a service that could not load it tries again then.
    if missing or current is None or not release.same_as(current):
        store.write(release)
        current = release
    store.note("")
    return current


def _champion(registry: Registry, versions: list[RegisteredVersion]) -> RegisteredVersion:
    for version in versions:
        if CHAMPION in version.aliases:
            return version
    cure = f"make promote VERSION={versions[0].number}" if versions else "make train"
    raise UserError(f"{registry.name} has no champion in {registry.uri}, so there is nothing to serve. First: {cure}")


def _shares(versions: list[RegisteredVersion], text: str) -> dict[int, int]:
    """Return the percentage of callers by version number, empty if all are the champion's."""
    shares: dict[int, int] = {}
    for part in _list(text):
        name, _, percent = part.partition("=")
        if not percent.strip().isdigit():
            raise UserError(
                f"model tag {TRAFFIC} {text!r}: write shares in percent, for example champion=90,challenger=10"
            )
        number = _find(versions, name.strip(), TRAFFIC).number
        shares[number] = shares.get(number, 0) + int(percent)
    if shares and sum(shares.values()) != 100:
        raise UserError(f"model tag {TRAFFIC} {text!r}: the shares add up to {sum(shares.values())}, not to 100")
    return shares


def _find(versions: list[RegisteredVersion], name: str, tag: str) -> RegisteredVersion:
    for version in versions:
        if name in (str(version.number), *version.aliases):
            return version
    raise UserError(f"model tag {tag}: there is no version {name!r}; name an alias or a number")


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
