"""Access: who may call the service, as the settings say, and how this project's own commands are let in."""

from __future__ import annotations

import asyncio

from . import config
from .toolkit.common.errors import RejectedError, UserError
from .toolkit.registry.permissions import Permissions
from .toolkit.serving.auth import Access, Callers
from .toolkit.serving.auth.tokens import Tokens, read


def who_may_call(settings: config.Settings) -> Access:
    """Return who may call."""
    callers: Callers | None = None
    if settings.auth == "token":
        callers = Tokens(settings.tokens)
    elif settings.auth == "mlflow":
        callers = Permissions(settings.mlflow_tracking_uri, settings.model_name, settings.auth_seconds)
    return Access(callers, settings.auth_exempt)


def authorization(settings: config.Settings) -> str:
    """Return the header with which these commands call: the first token, or the credentials of the MLflow user."""
    if settings.auth == "token":
        tokens, _ = read(settings.tokens)
        return f"Bearer {tokens[0]}" if tokens else ""
    if settings.auth == "mlflow":
        # Not above: the service imports this module, and needs no MLflow.
        from .toolkit.registry import identity

        return identity.authorization()
    return ""


def check(access: Access, authorization: str) -> None:
    """Raise `UserError` if a header would not let its sender in."""
    if access.callers is None:
        return
    # Without credentials, an empty user's: MLflow is to be asked in any case, since it might let anyone in.
    header = (authorization or "Basic Og==").encode()
    try:
        asyncio.run(access.callers.verify(header))
    except RejectedError as error:
        raise UserError(access.callers.problem or f"The service would not let its own deployer in: {error}.") from error
