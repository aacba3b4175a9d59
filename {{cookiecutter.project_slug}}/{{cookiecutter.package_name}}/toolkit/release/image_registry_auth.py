"""Authentication with an image registry: by user and password, or by the token of a service that it names."""

from __future__ import annotations

import base64
import re
from collections.abc import Generator
from functools import cached_property

import httpx

from ..common.errors import UserError
from .image_credentials import TOKEN_USER, Credentials, find_credentials
from .image_name import ImageName

Flow = Generator[httpx.Request, httpx.Response, None]


class RegistryAuth(httpx.Auth):
    """Answers the challenge of one repository; only the registry and its token service get credentials."""

    def __init__(self, image: ImageName) -> None:
        self._image, self._registry = image, httpx.URL(image.address)
        self._header = ""

    @cached_property
    def credentials(self) -> Credentials | None:
        """The credentials for the repository, None where there are none."""
        return find_credentials(self._image)

    @property
    def user(self) -> str:
        """The name under which requests are sent."""
        return "anyone without credentials" if self.credentials is None else f"the user {self.credentials.user!r}"

    def sync_auth_flow(self, request: httpx.Request) -> Flow:
        """Send a request, and once more if the registry answers it with a challenge."""
        if not self._is_registry(request.url):
            yield request
            return
        if self._header:
            request.headers["Authorization"] = self._header
        response = yield request
        challenge = response.headers.get("WWW-Authenticate", "")
        if response.status_code != 401 or not self._is_registry(response.url):
            return
        scheme, _, rest = challenge.partition(" ")
        request.headers.pop("Authorization", None)
        if scheme.lower() == "bearer":
            yield from self._exchange(dict(re.findall(r'(\w+)="([^"]*)"', rest)))
        elif scheme.lower() == "basic" and self.credentials:
            self._header = self._basic(self.credentials)
        else:
            return
        # Without a token too: the registry's own answer is the one to return.
        if self._header:
            request.headers["Authorization"] = self._header
        yield request

    def _exchange(self, challenge: dict[str, str]) -> Flow:
        """Get a token for reading and writing the repository."""
        realm = httpx.URL(challenge.get("realm", ""))
        if realm.scheme != "https" and not (self._image.on_this_machine and realm.scheme == "http"):
            raise UserError(f"{self._image.registry} names a token service without https: {realm.host or 'none'}.")
        asked = {"service": challenge.get("service", ""), "scope": f"repository:{self._image.path}:pull,push"}
        if self.credentials and self.credentials.user == TOKEN_USER:
            form = asked | {"grant_type": "refresh_token", "refresh_token": self.credentials.secret}
            request = httpx.Request("POST", realm, data=form | {"client_id": "model-service"})
        else:
            request = httpx.Request("GET", realm.copy_merge_params(asked))
            if self.credentials:
                request.headers["Authorization"] = self._basic(self.credentials)
        response = yield request
        response.read()
        if response.status_code >= 500 or response.status_code == 429:
            raise httpx.RemoteProtocolError(f"its token service {realm.host} answered {response.status_code}")
        if response.status_code != 200:
            self._header = ""
            return
        try:
            found = response.json()
            self._header = f"Bearer {found.get('token') or found['access_token']}"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"The token service {realm.host} of {self._image.registry} sent no token.") from error

    def _is_registry(self, url: httpx.URL) -> bool:
        mine = self._registry
        return (url.scheme, url.host, url.port) == (mine.scheme, mine.host, mine.port)

    @staticmethod
    def _basic(credentials: Credentials) -> str:
        return "Basic " + base64.b64encode(f"{credentials.user}:{credentials.secret}".encode()).decode()
