"""Target `sagemaker`: the image behind an endpoint of SageMaker: instances, serverless or asynchronous."""

from .specification import Options
from .target import SageMaker

__all__ = ["Options", "SageMaker"]
