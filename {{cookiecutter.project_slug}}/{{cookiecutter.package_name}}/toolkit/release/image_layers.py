"""A release as one layer of an image, replaced in the image registry through its HTTP API: no engine, no build."""

from __future__ import annotations

from .store import Release, Store


def append_release(image: str, store: Store, release: Release, *, run_id: str) -> str:
    """Push the image that has the code and libraries of `image` and this release; return its name by digest.

    `image` is an image of this project in its registry, by tag or digest, whatever release it holds: that one's layer is
    replaced. `run_id` is the MLflow run of the champion. The same image and release give the same digest, whoever
    appends. The new image is in the same repository, tagged as `make build` tags it: `repository:<champion>-<commit>`.

    `UserError`: the image is missing, was not built from this project's Dockerfile, or lacks the libraries that the
    release needs; the registry does not answer, rejects the credentials, or sends content with a wrong digest.
    """
    raise NotImplementedError
