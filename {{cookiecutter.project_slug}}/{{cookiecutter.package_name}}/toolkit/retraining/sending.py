"""Requests to the services that start a training: repeated within bounds, and each failure in a sentence with a cure.

A request is repeated where the service says that it did nothing (429, 503), or where nobody was reached in time. After
any other failure on the way, a training may have begun, so it is repeated only where twice is the same as once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from ..common import bounded_http
from ..common.errors import UserError
from ..common.redaction import redact_address
from ..common.tag_text import line
from .request import UnansweredError

#: How often a request is sent, the seconds before each repetition, and the longest wait that a service may ask for.
ATTEMPTS, PAUSE, LONGEST_WAIT = 3, 1.0, 30.0
TIMEOUT = httpx.Timeout(30, connect=10)
#: Statuses by which a service says that it did nothing yet, and those of a gateway that does not know.
BUSY, LOST = frozenset({429, 503}), frozenset({502, 504})
#: Characters of an answer that an error shows.
SHOWN = 300


class Service(NamedTuple):
    """A service by its name and address, with a secret that nothing shows, and what cures a status."""

    name: str
    url: str
    secret: str = ""
    cures: Mapping[int, str] = {}
    #: Whether a request that arrives twice starts one training.
    repeatable: bool = False
    timeout: httpx.Timeout = TIMEOUT
    pause: float = PAUSE

    @property
    def text(self) -> str:
        """The service in a message."""
        return f"{self.name} at RETRAIN_URL={redact_address(self.url)}"

    def send(
        self, method: str, url: str = "", accepted: frozenset[int] = frozenset(), **content: Any
    ) -> httpx.Response:
        """Return the answer, whose status is 2xx or accepted; `UserError`, or `UnansweredError`, for any other end."""
        for attempt in range(1, ATTEMPTS + 1):
            wait = self.pause * 2 ** (attempt - 1)
            try:
                answer = bounded_http.ask(method, url or self.url, self.timeout, **content)
            except (httpx.ConnectTimeout, httpx.PoolTimeout):
                problem: UserError = self._unreached("no connection within 10 s")
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise self._unreached(str(error) or "no address") from None
            except (httpx.LocalProtocolError, UnicodeEncodeError):
                # Its message has the value.
                raise UserError(
                    f"{self.text} was not asked: no header can have the characters of RETRAIN_TOKEN."
                ) from None
            except httpx.ConnectError as error:
                raise self._unreached(self._hidden(_cause(error))) from None
            except httpx.RequestError as error:
                problem = self._unanswered(f"no answer ({type(error).__name__})")
                if not self.repeatable:
                    raise problem from None
            else:
                if answer.is_success or answer.status_code in accepted:
                    return answer
                problem = self._problem(answer)
                asked = _asked_wait(answer)
                busy = _is_busy(answer) and asked <= LONGEST_WAIT
                if not (busy or (answer.status_code in LOST and self.repeatable)):
                    raise problem
                wait = max(wait, asked)
            if attempt < ATTEMPTS:
                time.sleep(wait)
        raise problem

    def _problem(self, answer: httpx.Response) -> UserError:
        """Return the error of a status: what was answered, and what to do."""
        status = answer.status_code
        said = line(self._hidden(answer.text))[:SHOWN]
        text = f"status {status}{f': {said}' if said else ''}"
        if status in LOST:
            return self._unanswered(text)
        if _is_busy(answer):
            asked = _asked_wait(answer)
            later = f"in {asked:.0f} s" if asked else "later"
            return UserError(f"{self.text} is busy or limits requests ({text}): try again {later}.")
        if answer.is_redirect:
            where = redact_address(answer.headers.get("Location", ""))
            return UserError(f"{self.text} is elsewhere ({text}): set RETRAIN_URL to the final address {where}")
        cure = self.cures.get(status, "its log says why" if status >= 500 else "check RETRAIN_URL and RETRAIN_TOKEN")
        return UserError(f"{self.text} started no training ({text}): {cure}.")

    def _unreached(self, reason: str) -> UserError:
        text = f"{self.text} cannot be reached ({line(reason)[:SHOWN]})"
        if "certificate" in reason.lower():
            return UserError(f"{text}: have SSL_CERT_FILE name the file of the authority that signs its certificate.")
        return UserError(f"{text}: check the address, the network and HTTPS_PROXY.")

    def _unanswered(self, reason: str) -> UnansweredError:
        return UnansweredError(
            f"{self.text} was asked for a training, and it is not known whether it started one ({reason}): look there."
        )

    def _hidden(self, text: str) -> str:
        return text.replace(self.secret, "***") if self.secret else text


def _cause(error: BaseException) -> str:
    """Return what went wrong first; the errors above it only say that no address of the host could be reached."""
    while (
        below := error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
    ):
        error = below
    return f"{type(error).__name__}: {error}"


def _is_busy(answer: httpx.Response) -> bool:
    """Whether a service is overloaded or limits requests; GitHub answers 403 for the latter, too."""
    limited = "Retry-After" in answer.headers or answer.headers.get("X-RateLimit-Remaining") == "0"
    return answer.status_code in BUSY or (answer.status_code == 403 and limited)


def _asked_wait(answer: httpx.Response) -> float:
    """Return how many seconds a service asks to wait, 0 if it does not say."""
    asked = answer.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else 0.0
