"""MLflow in a browser, for runs, plots and versions: a local server over the project's database."""

from __future__ import annotations

import sys

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.sockets import listen
from .toolkit.registry.connection import check_address
from .toolkit.registry.local_server import run_local_server
from .toolkit.registry.moved_artifacts import correct_addresses


def run(settings: config.Settings, port: int) -> None:
    """Serve until interrupted; `UserError` if runs are recorded on a server, which has its own interface."""
    uri = settings.mlflow_tracking_uri
    if not uri.startswith("sqlite:///"):
        raise UserError(
            f"Runs are recorded at {uri} (MLFLOW_TRACKING_URI): open that address; no local server is needed."
        )
    check_address(uri)
    try:
        listen("127.0.0.1", port).close()
    except UserError as error:
        raise UserError(f"Port {port} is in use. Choose another: make mlflow ARGS='--port {port + 1}'") from error
    correct_addresses(uri)
    console.say(f"MLflow: http://127.0.0.1:{port}  (over {uri}; Ctrl-C ends it)")
    sys.exit(run_local_server(uri, port))
