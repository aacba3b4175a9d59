"""The targets on AWS, made from the settings."""

from __future__ import annotations

from .. import config
from ..toolkit.common.errors import UserError
from ..toolkit.release.container_engine import find_engine
from ..toolkit.release.targets import Target
from ..toolkit.release.targets.aws import Aws
from ..toolkit.release.targets.aws_lambda import AwsLambda
from ..toolkit.release.targets.aws_lambda import Options as LambdaOptions
from ..toolkit.release.targets.ecr import Repository
from ..toolkit.release.targets.sagemaker import Options as SageMakerOptions
from ..toolkit.release.targets.sagemaker import SageMaker
from . import container_image
from .access import authorization
from .trust import model_store


def sagemaker(settings: config.Settings) -> Target:
    """Return the target of the settings that begin with SAGEMAKER_."""
    return SageMaker(
        settings.sagemaker_endpoint,
        model_store(settings),
        settings.image,
        SageMakerOptions(
            settings.sagemaker_role,
            settings.sagemaker_mode,
            settings.sagemaker_instance,
            settings.sagemaker_instances,
            settings.sagemaker_memory,
            settings.sagemaker_concurrency,
            settings.sagemaker_output,
            _environment(
                settings,
                "workers",
                "max_rows",
                "max_bytes",
                "max_waiting",
                "max_bytes_in_flight",
                "read_seconds",
                "log_share",
            ),
        ),
        build=lambda aws: _pushed_to_ecr(settings, aws, settings.sagemaker_endpoint),
        seconds=settings.sagemaker_seconds,
    )


def function(settings: config.Settings) -> Target:
    """Return the target of the settings that begin with LAMBDA_."""
    if settings.auth == "token":
        raise UserError("AUTH=token: no file of tokens reaches a function. Leave it to AWS (AUTH=none), or AUTH=mlflow")
    arguments = settings.container_build_args
    built = settings.model_copy(update={"container_build_args": f"{arguments} --build-arg EXTRAS=lambda".strip()})
    return AwsLambda(
        settings.lambda_function,
        model_store(settings),
        settings.image,
        LambdaOptions(
            settings.lambda_role,
            settings.lambda_memory,
            settings.lambda_timeout,
            settings.lambda_public,
            _environment(settings, "max_rows", "max_bytes", "root_path", "auth", "auth_seconds", "mlflow_tracking_uri"),
        ),
        build=lambda aws: _pushed_to_ecr(built, aws, settings.lambda_function),
        authorization=authorization(settings),
        seconds=settings.rollout_seconds,
    )


def _environment(settings: config.Settings, *names: str) -> dict[str, str]:
    """Return those of some settings that were set, as variables of a container."""
    return {name.upper(): str(getattr(settings, name)) for name in names if name in settings.model_fields_set}


def _pushed_to_ecr(settings: config.Settings, aws: Aws, owner: str) -> str:
    repository = Repository(aws, settings.image_repository, owner)
    settings = settings.model_copy(update={"image_repository": repository.address})
    engine = find_engine(settings.container_engine)
    return container_image.deployable(settings, lambda: repository.prepare(engine))
