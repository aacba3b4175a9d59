"""Registering a webhook: an MLflow server then delivers changes of the registry."""

from __future__ import annotations

from mlflow.entities.webhook import WebhookEventStr
from mlflow.exceptions import MlflowException

from ..common.errors import UserError
from .client import Registry
from .errors import describe, phrase, reason

#: The events that change a release; for tags of the model itself MLflow has no event.
EVENTS: tuple[WebhookEventStr, ...] = (
    "model_version_alias.created",
    "model_version_alias.deleted",
    "model_version_tag.set",
    "model_version_tag.deleted",
)


def register_webhook(registry: Registry, address: str, secret: str, name: str) -> str:
    """Register a webhook, or update the one of this address; return why its test delivery failed, "" if it arrived.

    `UserError` if the server cannot or may not register it.
    """
    if not registry.is_server:
        raise UserError(
            f"{registry.uri} is a database, and only an MLflow server delivers webhooks; sync polls a database."
        )
    try:
        found = [webhook for webhook in registry.client.list_webhooks(max_results=1000) if webhook.url == address]
        if found:
            webhook = registry.client.update_webhook(
                found[0].webhook_id, events=[*EVENTS], secret=secret, status="ACTIVE"
            )
        else:
            webhook = registry.client.create_webhook(name, address, [*EVENTS], secret=secret)
    except MlflowException as error:
        raise UserError(_registration_error(registry.uri, error)) from error
    try:
        result = registry.client.test_webhook(webhook.webhook_id)
    except MlflowException as error:  # the delivery takes longer than the client waits
        return reason(error)
    if result.success:
        return ""
    message = result.error_message or f"{result.response_status} {result.response_body}"
    return phrase(message) or message


def _registration_error(uri: str, error: MlflowException) -> str:
    text = describe(uri, error)
    if " forbids " in text:
        return f"{uri} lets only administrators register webhooks: ask one, or be one (MLFLOW_TRACKING_USERNAME)."
    needed = {
        "500 error responses": "a permanent MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY: it cannot decrypt its webhooks",
        "Invalid webhook URL scheme": "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https, or an https address",
        "non-public IP address": "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true, or a public address",
    }
    for message, setting in needed.items():
        if message in str(error):
            return f"The MLflow server at {uri} needs {setting}."
    return text
