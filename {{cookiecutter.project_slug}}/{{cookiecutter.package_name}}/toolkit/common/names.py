"""Names of versions, aliases and tags in the registry, and the key of golden requests; several rooms share them."""

from __future__ import annotations

from collections.abc import Iterable

#: Aliases of versions.
CHAMPION, CHALLENGER = "champion", "challenger"
#: Tags of a version: its SHA-256, the commit it was trained from, "passed" or "failed", and the reasons if failed.
DIGEST, COMMIT, GATES, GATES_FAILED = "digest", "commit", "gates", "gates.failed"
#: Tag of a version: the digest of the rows that it was trained and evaluated on.
DATA = "data.digest"
#: Tags of a version: who trained it, the results of its gates, and its approval with the digest; both in JSON.
TRAINED_BY, GATE_RESULTS, APPROVAL = "trained_by", "gates.results", "approval.record"
#: Tag of a version: "true" keeps it served beside the champion.
SERVE = "serve"
#: Tags of the model: the traffic weights of versions, and the shadow versions.
TRAFFIC, SHADOW = "traffic", "shadow"
#: Prefix of the tags of the model that keep canaries.
CANARY = "canary."
#: The key (header X-Key) of golden requests, by which a version's example rows reach a service. The service counts and
#: logs these rows as any others; `make monitor` leaves them out, and tells their number.
GOLDEN_KEY = "golden-request"
#: Tag of the model: which of those that follow the registry rolls the champion back for an alert.
ROLLBACK_CLAIM = "rollback.claim"


def version_label(number: int, aliases: Iterable[str]) -> str:
    """Return the number and the aliases of a version, as in "2 = champion"."""
    return " = ".join([str(number), *aliases])
