"""Serve on AWS Lambda: answer its events, in an image that has the extra `lambda`."""

from __future__ import annotations

from pathlib import Path

from . import config
from .shared.access import access_policy
from .toolkit.live.live_release import LiveRelease
from .toolkit.monitoring.prediction_log import LogFile
from .toolkit.monitoring.recorder import Recorder
from .toolkit.serving import on_lambda
from .toolkit.serving.app import Routes
from .toolkit.serving.limits import Limits
from .toolkit.serving.root_path import under
from .toolkit.serving.scoring import Scorer


def run(settings: config.Settings) -> None:
    """Load and verify the release in the store, then answer events."""
    policy, live, recorder = access_policy(settings), LiveRelease(settings.store), Recorder()
    policy.load()
    live.load()
    limits = Limits(
        settings.max_rows,
        settings.max_bytes,
        settings.max_waiting,
        settings.max_bytes_in_flight,
        settings.read_seconds,
    )
    routes = Routes(
        Scorer(live, limits, recorder),
        LogFile(Path("/tmp/log"), "feedback", 0),
        title=config.PROJECT_NAME,
        description=config.DESCRIPTION,
        access=policy,
    )
    application = on_lambda.LambdaApplication(routes, recorder)
    on_lambda.run(under(settings.root_path, policy.protect(application)))
