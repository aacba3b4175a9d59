"""The service: what BentoML packages and serves.

The scoring routes (`/predict`, `/model`, ...) come from the toolkit, endpoints of your own from `model/endpoints.py`.
"""

import os

# Before BentoML is imported, which reads them once: tracing without an exporter costs a third of the throughput.
os.environ.setdefault("OTEL_SDK_DISABLED", "true")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

from typing import Any

import bentoml
from starlette.types import ASGIApp

from . import config
from .shared.access import access_policy
from .toolkit.common import redaction
from .toolkit.live.live_release import LiveRelease
from .toolkit.monitoring.prediction_log import LogFile, PredictionLog
from .toolkit.monitoring.recorder import Recorder
from .toolkit.serving.app import Routes, ScoringMiddleware
from .toolkit.serving.custom_endpoints import log_server_errors_only, predict_as, with_endpoints
from .toolkit.serving.limits import Limits
from .toolkit.serving.root_path import RootPathMiddleware, under
from .toolkit.serving.scoring import Scorer

redaction.install()
settings = config.settings()
log_bytes = settings.log_megabytes * 1_000_000
predictions = LogFile(settings.log_folder, "predictions", log_bytes)
live = LiveRelease(settings.store)
scorer = Scorer(
    live,
    Limits(
        settings.max_rows,
        settings.max_bytes,
        settings.max_waiting,
        settings.max_bytes_in_flight,
        settings.read_seconds,
        strict=settings.strict,
    ),
    Recorder(PredictionLog(predictions), settings.log_share),
)
policy = access_policy(settings)


@bentoml.service(name=config.SERVICE_NAME, workers=settings.workers, logging={"access": {"enabled": False}})
@with_endpoints(f"{__package__}.model.endpoints", predict_as(scorer))
class Service:
    """Serves the release in the store."""

    def __init__(self) -> None:
        log_server_errors_only()
        policy.load()
        live.load()
        live.watch()
        scorer.recorder.start()


# The decorator has made the class a BentoML service, which type checkers do not see.
_service: Any = Service
routes = Routes(
    scorer,
    LogFile(settings.log_folder, "feedback", log_bytes),
    title=config.PROJECT_NAME,
    description=config.DESCRIPTION,
    bentoml_document=lambda: _service.openapi_spec.asdict(),
    access=policy,
)
# Before the routes and before what BentoML answers itself; permissions are by paths without ROOT_PATH.
if settings.root_path:
    _service.add_asgi_middleware(RootPathMiddleware, root_path=settings.root_path)
_service.add_asgi_middleware(policy.protect)
_service.add_asgi_middleware(ScoringMiddleware, routes=routes)


def application() -> ASGIApp:
    """Return the application with the scoring routes before BentoML's routes, for the server that `serve` starts."""
    return under(settings.root_path, policy.protect(ScoringMiddleware(_service.to_asgi(), routes)))
