"""Signing without a key: who runs this process is certified for some minutes, and the signature is logged in public.

An identity provider says who that is: of a CI job its platform, of a person a login in the browser. The authority of a
Sigstore (Fulcio) certifies a key that lives in this process alone, and its log (Rekor) keeps the signature.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.errors import UserError
from .signature import TrustedSigners, Verifier, sigstore_errors, write

if TYPE_CHECKING:
    from sigstore.oidc import IdentityToken

#: Seconds before each further attempt: the training that is behind is worth more than a minute.
PAUSES = (1, 5, 20)
#: Seconds for one attempt; the library sets no limit to the answers of Fulcio and Rekor.
MOST_SECONDS = 60


class KeylessSigner:
    """Signs folders as who runs this process; `UserError` if nobody says who that is, or it is none of `trusted`."""

    def __init__(self, trusted: TrustedSigners) -> None:
        """Check what can be checked before there is something to sign; nothing is logged in public yet."""
        from sigstore.models import ClientTrustConfig

        if trusted.keys and not trusted.identities:
            raise UserError(f"{trusted} refuses what is signed without a key: set VERIFY_IDENTITY too, or SIGNING_KEY.")
        file = trusted.sigstore
        with sigstore_errors(file):
            config = ClientTrustConfig.from_json(file.read_text()) if file else ClientTrustConfig.production()
            self._login_at = config.signing_config.get_oidc_url()
        self._trusted, self._verifier = trusted, Verifier(trusted) if trusted else None
        if token := _token_of_job():
            self._check_issuer(token)
        elif not sys.stdin.isatty():
            raise _no_identity("neither a CI job nor a person at a terminal runs this")

    def sign(self, folder: Path) -> None:
        """Add the signature to a folder; `UserError` if no attempt succeeds, or `trusted` would refuse it."""
        for pause in (*PAUSES, None):
            # Each attempt needs a token of its own: most are valid for minutes.
            token = _token_of_job() or self._token_of_person()
            self._check_issuer(token)
            try:
                _within(MOST_SECONDS, partial(self._write, token, folder))
                break
            except Exception as error:  # of the network and of three services, and of what they answer
                if pause is None:
                    raise UserError(
                        f"The version is not signed: {str(error) or repr(error.__cause__ or error)}. See that this "
                        "machine reaches the Sigstore, then train again; or sign with SIGNING_KEY."
                    ) from error
                time.sleep(pause)
        if self._verifier and (problem := self._verifier.problem(folder)):
            raise UserError(f"{self._trusted} would refuse this version, since {problem}. Correct it, and train again.")

    def _write(self, token: IdentityToken, folder: Path) -> None:
        from model_signing import signing

        config = signing.Config()
        write(config.use_sigstore_signer(identity_token=str(token), trust_config=self._trusted.sigstore), folder)

    def _token_of_person(self) -> IdentityToken:
        from sigstore import errors, oidc

        try:
            return oidc.Issuer(self._login_at).identity_token()
        except (errors.Error, oidc.IssuerError, EOFError) as error:
            raise _no_identity(f"the login at {self._login_at} failed ({error})") from error

    def _check_issuer(self, token: IdentityToken) -> None:
        if self._trusted.identities and token.federated_issuer != self._trusted.issuer:
            raise UserError(
                f"{token.federated_issuer} vouches for who runs this, and VERIFY_ISSUER={self._trusted.issuer} refuses "
                "that: correct VERIFY_ISSUER, or train where that one vouches."
            )


def _token_of_job() -> IdentityToken | None:
    """Return the identity of the CI job, None outside of one."""
    import requests
    from sigstore import oidc

    try:
        token = oidc.detect_credential()
        return oidc.IdentityToken(token) if token else None
    except (oidc.IdentityError, requests.RequestException) as error:
        raise _no_identity(f"the CI job gets no identity token ({error})") from error


def _no_identity(reason: str) -> UserError:
    return UserError(
        f"SIGNING_KEYLESS=1 needs to know who signs, and {reason}. docs/signing.md shows how a CI job gets an identity "
        "token; without one, set SIGNING_KEY."
    )


def _within(seconds: float, function: Callable[[], None]) -> None:
    """Call a function; `TimeoutError` if it takes too long. Its thread goes on then: nothing ends one that waits."""
    raised = []

    def call() -> None:
        try:
            function()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
    if raised:
        raise raised[0]
