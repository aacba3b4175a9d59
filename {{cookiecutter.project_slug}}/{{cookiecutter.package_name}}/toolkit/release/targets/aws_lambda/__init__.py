"""Target `lambda`: the image as a function of AWS Lambda, behind a function URL."""

from .target import AwsLambda, Options

__all__ = ["AwsLambda", "Options"]
