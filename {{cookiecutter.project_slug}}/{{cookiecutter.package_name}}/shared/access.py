"""Access: the policy that the settings describe, and the credentials of this project's own commands."""

from __future__ import annotations

import asyncio

from .. import config
from ..toolkit.common.errors import RejectedError, UserError
from ..toolkit.registry.permissions import MlflowAuthenticator
from ..toolkit.serving.auth.policy import AccessPolicy, Authenticator
from ..toolkit.serving.auth.tokens import TokenAuthenticator, read_tokens


def access_policy(settings: config.Settings) -> AccessPolicy:
    """Return the policy of the settings `AUTH` and `AUTH_EXEMPT`."""
    authenticator: Authenticator | None = None
    if settings.auth == "token":
        authenticator = TokenAuthenticator(settings.tokens)
    elif settings.auth == "mlflow":
        authenticator = MlflowAuthenticator(settings.mlflow_tracking_uri, settings.model_name, settings.auth_seconds)
    return AccessPolicy(authenticator, settings.auth_exempt)


def authorization(settings: config.Settings) -> str:
    """Return the Authorization header of our own requests: the first token, or the MLflow user's credentials."""
    if settings.auth == "token":
        tokens, _ = read_tokens(settings.tokens)
        return f"Bearer {tokens[0]}" if tokens else ""
    if settings.auth == "mlflow":
        # Not above: the service imports this module, and needs no MLflow.
        from ..toolkit.registry import identity

        return identity.authorization()
    return ""


def check_authorized(policy: AccessPolicy, authorization: str) -> None:
    """Raise `UserError` if the policy would reject the sender of an Authorization header."""
    if policy.authenticator is None:
        return
    # Without credentials, send an empty user and password, so that a server without authentication is still detected.
    header = (authorization or "Basic Og==").encode()
    try:
        asyncio.run(policy.authenticator.verify(header))
    except RejectedError as error:
        reason = policy.authenticator.problem or f"The service would reject the credentials of this command: {error}."
        raise UserError(reason) from error
