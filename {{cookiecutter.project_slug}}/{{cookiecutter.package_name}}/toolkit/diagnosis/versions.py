"""The store: its release can be read, and each version of it is complete, unchanged and admitted."""

from __future__ import annotations

from collections.abc import Iterator

from ..common.errors import UserError
from ..common.findings import Finding, error, ok, warning
from ..release.store import Release, Store
from ..version.artifact import pickles
from ..version.signature import TrustedSigners, Verifier


def check(store: Store, model: str, trusted: TrustedSigners, *, allow_pickle: bool) -> Iterator[Finding]:
    """Check the versions of the current release; nothing is found where there is none."""
    release = store.release()
    if release is None:
        return
    if release.model != model:
        yield warning(f"the release is of {release.model}, and MODEL_NAME is {model}: make deploy, or correct it")
    if problem := store.problem():
        yield warning(f"the last sync failed: {problem}")
    verifier = Verifier(trusted) if trusted else None
    wrong = 0
    for number in sorted(release.versions):
        for text in _problems(store, release, number, verifier, allow_pickle=allow_pickle):
            wrong += 1
            yield error(text)
    if not wrong:
        yield ok(f"{release.summary()}: complete, digests{' and signatures' if verifier else ''} verified")


def _problems(
    store: Store, release: Release, number: int, verifier: Verifier | None, *, allow_pickle: bool
) -> Iterator[str]:
    folder = store.path(number)
    if not folder.exists():
        yield f"version {number} is missing in {folder.parent}: make deploy downloads it"
        return
    try:
        store.load(number, release.digests.get(number, ""))
    except UserError as problem:
        yield str(problem)
        return
    if verifier:
        if reason := verifier.problem(folder):
            yield f"version {number} is served although {reason}: promote a signed version, then make deploy"
    elif not allow_pickle and (files := pickles(folder)):
        yield (
            f"version {number} is served although {' and '.join(files)} can run any code and nobody has signed it: "
            "sign versions and set who may sign (docs/signing.md), or set ALLOW_PICKLE=1"
        )
