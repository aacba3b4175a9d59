"""An image registry's own HTTP API (OCI distribution): manifests and blobs are read and written without an engine.

Content with another digest than it should have is rejected. A request that may succeed later, after a lost connection,
an overload (429) or an error of the server (5xx), is repeated.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import httpx

from ..common.errors import UserError
from .image_name import ImageName
from .image_registry_auth import RegistryAuth

OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution"
INDEX_TYPES = (f"{OCI}.index.v1+json", f"{DOCKER}.manifest.list.v2+json")
MANIFEST_TYPES = (f"{OCI}.manifest.v1+json", f"{DOCKER}.manifest.v2+json")
#: The longest manifest or configuration that is read; registries take no longer ones.
MAXIMUM_BYTES = 4 << 20
#: Seconds before each repetition, and the longest that a registry may ask for.
PAUSES, MAXIMUM_PAUSE = (0.5, 1, 2, 4), 30
TIMEOUT = httpx.Timeout(60, connect=10)
CHUNK = 1 << 20

T = TypeVar("T")


class Content(NamedTuple):
    """A manifest, an index or a configuration: the bytes that its digest is of."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """The digest (sha256:...)."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    def json(self) -> Any:
        """Return the value that the bytes are as JSON."""
        return json.loads(self.data)

    @classmethod
    def of(cls, value: Any, media_type: str) -> Content:
        """Return a value as JSON."""
        return cls(json.dumps(value, separators=(",", ":")).encode(), media_type)


class Answer(NamedTuple):
    """What a registry answers to a request."""

    status: int
    headers: httpx.Headers
    data: bytes
    url: httpx.URL


class File:
    """A file as the body of a request, which can be sent again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


class TransientError(Exception):
    """A failure that may pass; `pause` is for how many seconds the registry wants to get no requests."""

    def __init__(self, reason: str, pause: float = 0) -> None:
        super().__init__(reason)
        self.pause = pause


class ImageRegistry:
    """One repository of an image registry; a context manager, which closes its connections."""

    def __init__(self, image: ImageName) -> None:
        self.image, self._auth = image, RegistryAuth(image)
        self._http = httpx.Client(
            base_url=f"{image.address}/v2/{image.path}/",
            auth=self._auth,
            # A compressed answer would have another digest.
            headers={"Accept-Encoding": "identity"},
            timeout=TIMEOUT,
            # As docker does: a registry on this machine is reached without a proxy.
            trust_env=not image.on_this_machine,
        )

    def __enter__(self) -> ImageRegistry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def find(self, reference: str) -> Content | None:
        """Return the manifest, or the index of several, of a tag or digest; None if there is none."""
        answer = self._repeat(lambda: self._send("GET", f"manifests/{reference}", headers=ACCEPT))
        if answer.status == 404:
            return None
        self._check(answer, "read", 200)
        expected = reference if reference.startswith("sha256:") else answer.headers.get("Docker-Content-Digest")
        return self._verified(answer, expected)

    def manifest(self, reference: str) -> Content:
        """Return what `find` does; `UserError` if there is none."""
        found = self.find(reference)
        if found is None:
            mark = "@" if reference.startswith("sha256:") else ":"
            raise UserError(f"There is no image {self.image.repository}{mark}{reference}.")
        return found

    def blob(self, digest: str) -> Content:
        """Return a small blob, such as an image's configuration."""
        answer = self._repeat(lambda: self._send("GET", f"blobs/{digest}"))
        self._check(answer, "read", 200)
        return self._verified(answer, digest)

    def upload(self, digest: str, content: bytes | Path) -> bool:
        """Make sure that the repository has a blob, and return whether it had to be sent."""
        return self._repeat(lambda: self._upload(digest, content))

    def push_manifest(self, content: Content, reference: str) -> None:
        """Store a manifest, or an index, under a tag or its digest."""
        headers = {"Content-Type": content.media_type}
        answer = self._repeat(
            lambda: self._send("PUT", f"manifests/{reference}", headers=headers, content=content.data)
        )
        self._check(answer, "write to", 201)
        stored = answer.headers.get("Docker-Content-Digest", content.digest)
        # What it has under the digest is asked too: a registry need not name it.
        if stored != content.digest or self.find(content.digest) is None:
            raise UserError(f"{self.image.registry} stored {stored} instead of {content.digest}.")

    def _upload(self, digest: str, content: bytes | Path) -> bool:
        head = self._send("HEAD", f"blobs/{digest}")
        if head.status == 200:
            return False
        if head.status != 404:
            self._check(head, "read", 200)
        # A session of which a part was sent cannot take the whole, so each attempt begins one.
        session = self._send("POST", "blobs/uploads/")
        self._check(session, "write to", 202)
        place = session.url.join(session.headers["Location"]).copy_merge_params({"digest": digest})
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        answer = self._send("PUT", place, headers=headers, content=content)
        self._check(answer, "write to", 201)
        return True

    def _verified(self, answer: Answer, expected: str | None) -> Content:
        found = Content(answer.data, answer.headers.get("Content-Type", "").partition(";")[0])
        if expected and found.digest != expected:
            raise UserError(f"{self.image.registry} sent content with digest {found.digest} instead of {expected}.")
        return found

    def _send(
        self,
        method: str,
        url: httpx.URL | str,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | Path | None = None,
    ) -> Answer:
        """Send a request once; raise `TransientError` if it may succeed later."""
        body = File(content) if isinstance(content, Path) else content
        # Blobs may be kept by another server, and are verified. What is written goes to the registry itself.
        follow = method in ("GET", "HEAD")
        try:
            with self._http.stream(method, url, headers=headers, content=body, follow_redirects=follow) as response:
                data = bytearray()
                for chunk in response.iter_raw():
                    data += chunk
                    if len(data) > MAXIMUM_BYTES:
                        limit = f"{MAXIMUM_BYTES >> 20} MB, which no manifest or configuration has"
                        raise UserError(f"{self.image.registry} sent more than {limit}.")
        except httpx.TransportError as error:
            raise TransientError(str(error) or type(error).__name__) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UserError(f"{self.image.registry} cannot be used: {error}") from error
        if response.status_code == 429 or response.status_code >= 500:
            asked = response.headers.get("Retry-After", "")
            raise TransientError(f"it answered {response.status_code}", float(asked) if asked.isdigit() else 0)
        return Answer(response.status_code, response.headers, bytes(data), response.url)

    def _repeat(self, action: Callable[[], T]) -> T:
        """Do something that may fail for a while, a few times at most."""
        for pause in PAUSES:
            try:
                return action()
            except TransientError as error:
                time.sleep(min(max(pause, error.pause), MAXIMUM_PAUSE))
        try:
            return action()
        except TransientError as error:
            raise UserError(
                f"The image registry {self.image.registry} did not answer {len(PAUSES) + 1} requests ({error}). Is "
                "its name in IMAGE_REPOSITORY right, and does it run?"
            ) from error

    def _check(self, answer: Answer, verb: str, *expected: int) -> None:
        """Raise a `UserError` with the registry's own reason unless an answer is as expected."""
        if answer.status in expected:
            return
        name, registry = self.image.repository, self.image.registry
        if answer.status == 401 and self._auth.credentials is None:
            raise UserError(f"{registry} wants credentials to {verb} {name}. Log in: docker login {registry}")
        if answer.status in (401, 403):
            raise UserError(
                f"{registry} does not let {self._auth.user} {verb} {name} ({answer.status}{_reason(answer)}). Ask for "
                f"the right to, or log in as someone who has it: docker login {registry}"
            )
        raise UserError(f"{registry} answered {answer.status} to a request to {verb} {name}{_reason(answer)}.")


ACCEPT = {"Accept": ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))}


def _reason(answer: Answer) -> str:
    """Return a registry's own words, "" if there are none."""
    try:
        first = json.loads(answer.data)["errors"][0]
        return f": {first['code']}, {first.get('message', '')}"[:200]
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
