"""The pull when something starts that serves the store: service, stream."""

from __future__ import annotations

from ..common import console
from ..common.errors import UserError, explain_missing_extras
from .store import Store


def pull_or_keep(tracking_uri: str, model_name: str, store: Store) -> None:
    """Pull the registry's release; if that fails, the store's release stays, if there is one."""
    try:
        with explain_missing_extras():
            # Not above: service and stream are installed without MLflow.
            from .reconcile import pull_release

        pull_release(tracking_uri, model_name, store)
    except UserError as error:
        if store.release() is None:
            raise
        problem = str(error).rstrip(".")
        console.say(f"{problem}. Serving the release in {store.root}, which may not be in sync with the registry.")
