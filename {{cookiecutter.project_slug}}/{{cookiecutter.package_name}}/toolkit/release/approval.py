"""Approval: who has said that a version may be served, as the files that it had then.

It is a tag of the version with the digest of its files, which the store verifies: what was approved is what is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..common.names import APPROVAL
from ..common.tag_text import line, parsed, tag_json

if TYPE_CHECKING:
    from ..registry.client import RegisteredVersion


class Approval(NamedTuple):
    """One approval: when (UTC, ISO 8601), by whom, of which files, and why.

    `confirmed` is whether the MLflow server vouches for `who`, `trained_by` who has trained the version by its files.
    """

    when: str
    who: str
    confirmed: bool
    digest: str
    trained_by: str
    why: str

    @property
    def tags(self) -> dict[str, str]:
        """The tag that a version gets."""
        return {APPROVAL: tag_json(self._asdict(), "why")}

    @property
    def is_own(self) -> bool:
        """Whether somebody approved what they had trained themselves, or what nobody knows who trained."""
        return same_person(self.who, self.trained_by)


def of(version: RegisteredVersion) -> Approval | None:
    """Return the approval of a version; None if there is none, or if somebody has damaged it."""
    content = parsed(version.tags.get(APPROVAL, ""))
    try:
        found = Approval(**{name: content[name] for name in Approval._fields})
    except KeyError:
        return None
    texts = found._replace(confirmed=False)._asdict() | {"confirmed": ""}
    return found if isinstance(found.confirmed, bool) and all(isinstance(one, str) for one in texts.values()) else None


class ApprovalRules(NamedTuple):
    """Whether the champion needs an approval, and whether by another person than the one who trained it."""

    required: bool = False
    four_eyes: bool = False

    def problem(self, version: RegisteredVersion) -> str:
        """Return in one sentence why a version may not be served as champion, "" if it may."""
        found, again = of(version), f"look at it, and approve it again by make promote VERSION={version.number}"
        if found is None and APPROVAL in version.tags:
            why = f"its approval, the tag {APPROVAL}, cannot be read: {again}"
        elif found is None:
            if not self.required:
                return ""
            command = f"make promote VERSION={version.number}"
            why = f"nobody has approved it and APPROVAL_REQUIRED is set: {command} approves it"
        elif not found.digest or found.digest != version.digest:
            approved, registered = line(found.digest)[:12] or "none", line(version.digest)[:12] or "none"
            why = f"{line(found.who)} approved the digest {approved}, and the registry has {registered}: {again}"
        elif self.four_eyes and found.is_own:
            trained_by = line(found.trained_by) or "nobody knows who"
            why = (
                f"{line(found.who)} approved it, {trained_by} trained it and FOUR_EYES is set: another person approves "
                f"it by make promote VERSION={version.number}"
            )
        else:
            return ""
        return f"Version {version.number} is not served, since {why}."


def same_person(first: str, second: str) -> bool:
    """Whether two names may be those of one person: one part in common, "ada@laptop" being "ada"; unknown ones are."""
    one, other = _names(first), _names(second)
    return bool(one & other) or not one or not other


def _names(who: str) -> set[str]:
    """Return the names in "ci for ada", or in "ada@laptop"."""
    return {name.strip().partition("@")[0].casefold() for name in who.split(" for ")} - {""}
