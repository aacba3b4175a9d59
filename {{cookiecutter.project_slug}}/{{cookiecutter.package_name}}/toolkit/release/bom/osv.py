"""A client of OSV (https://google.github.io/osv.dev/api/): which advisories affect which versions of packages.

The service that everyone can use is https://api.osv.dev; it has the advisories of PyPI and of Debian.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from ...common.redaction import redact_address

#: What the service allows in one request.
BATCH = 1000
#: How often a request is sent while the service is busy, and the longest wait between two of them in seconds.
ATTEMPTS, LONGEST_WAIT = 4, 20.0
BUSY = frozenset({429, 500, 502, 503, 504})
SECONDS = 15.0
THREADS = 8

Advisory = dict[str, Any]


class Query(NamedTuple):
    """A package as OSV names it."""

    ecosystem: str
    name: str
    version: str


class UnavailableError(Exception):
    """The service cannot be asked, or answers with something else; the text has its address and the reason."""


class Osv:
    """The service at an address."""

    def __init__(self, address: str, *, seconds: float = SECONDS, wait: float = 1.0) -> None:
        self._address, self._wait = address.rstrip("/"), wait
        self._client = httpx.Client(timeout=seconds)

    def find(self, queries: Sequence[Query]) -> dict[Query, list[Advisory]]:
        """Return the advisories of each package that has some, withdrawn ones left out; `UnavailableError`."""
        with self._client:
            ids: dict[Query, set[str]] = {}
            for start in range(0, len(queries), BATCH):
                self._batch([(query, "") for query in queries[start : start + BATCH]], ids)
            wanted = sorted(set().union(*ids.values()))
            with ThreadPoolExecutor(THREADS) as pool:
                read = dict(zip(wanted, pool.map(self._advisory, wanted), strict=True))
        return {
            query: [read[one] for one in sorted(found) if not read[one].get("withdrawn")]
            for query, found in ids.items()
            if found
        }

    def _batch(self, pending: list[tuple[Query, str]], ids: dict[Query, set[str]]) -> None:
        """Add the ids of the advisories of some packages; where the service answers in pages, ask for all of them."""
        while pending:
            results = self._request("POST", "/v1/querybatch", {"queries": [_query(*one) for one in pending]})
            answers = results.get("results")
            if not isinstance(answers, list) or len(answers) != len(pending):
                raise self._unavailable("/v1/querybatch", "its answer does not have a result for each package")
            further = []
            for (query, _), answer in zip(pending, answers, strict=True):
                try:
                    ids.setdefault(query, set()).update(str(one["id"]) for one in (answer or {}).get("vulns") or ())
                    token = (answer or {}).get("next_page_token")
                except (AttributeError, KeyError, TypeError) as error:
                    raise self._unavailable("/v1/querybatch", "its answer is not OSV's") from error
                further += [(query, token)] if token else []
            pending = further

    def _advisory(self, identifier: str) -> Advisory:
        path = f"/v1/vulns/{quote(identifier, safe='')}"
        found = self._request("GET", path)
        if found.get("id") != identifier or not isinstance(found.get("affected", []), list):
            raise self._unavailable(path, "its answer is not OSV's")
        return found

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the JSON object that the service answers, asked again while it is busy."""
        reason = ""
        for attempt in range(ATTEMPTS):
            try:
                answer = self._client.request(method, self._address + path, json=body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                if not isinstance(error, httpx.TransportError) or isinstance(error, httpx.ConnectError):
                    break  # nobody is there, now as in a second
            else:
                reason = f"HTTP {answer.status_code}"
                if answer.status_code not in BUSY:
                    return self._object(path, answer)
            if attempt < ATTEMPTS - 1:
                time.sleep(_wait(self._wait * 2**attempt, answer if reason.startswith("HTTP ") else None))
        raise self._unavailable(path, reason)

    def _object(self, path: str, answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code != 200:
            raise self._unavailable(path, f"HTTP {answer.status_code}: {answer.text[:100].strip()}")
        try:
            found = answer.json()
        except ValueError as error:
            raise self._unavailable(path, "its answer is no JSON") from error
        if not isinstance(found, dict):
            raise self._unavailable(path, "its answer is not OSV's")
        return found

    def _unavailable(self, path: str, reason: str) -> UnavailableError:
        return UnavailableError(f"{redact_address(self._address)}{path}: {reason}")


def fixed_in(advisory: Advisory, query: Query) -> list[str]:
    """Return the versions of a package that an advisory names as fixed."""
    versions: list[str] = []
    for affected in advisory.get("affected", ()):
        package = affected.get("package", {})
        if (package.get("ecosystem"), _canonical(package.get("name"))) == (query.ecosystem, _canonical(query.name)):
            events = [event for one in affected.get("ranges", ()) for event in _events(one)]
            versions += [event["fixed"] for event in events if "fixed" in event]
    return list(dict.fromkeys(versions))


def _events(one: Mapping[str, Any]) -> Iterable[Mapping[str, str]]:
    # The events of a range of type GIT are commits.
    return one.get("events", ()) if one.get("type") != "GIT" else ()


def _canonical(name: object) -> str:
    return re.sub(r"[-_.]+", "-", str(name)).lower()


def _query(query: Query, token: str) -> dict[str, Any]:
    package = {"ecosystem": query.ecosystem, "name": query.name}
    return {"package": package, "version": query.version, **({"page_token": token} if token else {})}


def _wait(seconds: float, answer: httpx.Response | None) -> float:
    """Return how long to wait; a busy service may say it."""
    asked = answer.headers.get("Retry-After", "") if answer is not None else ""
    return min(LONGEST_WAIT, float(asked) if asked.isdecimal() else seconds)
