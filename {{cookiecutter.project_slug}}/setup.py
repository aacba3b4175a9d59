"""Metadata and dependency ranges; `make lock` turns the ranges into the exact environments of `requirements/`."""

from pathlib import Path

from setuptools import find_packages, setup

# What your model/ needs beside the lists below, in training and in the service. After a change: make lock.
MODEL: list[str] = [
    # "lightgbm>=4",
]

# The licence of your code and of the models that it makes, as an SPDX expression such as "Apache-2.0" or
# "LicenseRef-Example-Internal"; `make sbom` states it. Where it is empty, none is stated.
LICENSE = ""

# The lists below are the template's: an update changes them.
SERVE = [
    "bentoml>=1.4.30",
    "httptools>=0.6",
    "httpx>=0.27",
    "numpy>=2.0",
    "onnxruntime>=1.20",
    "orjson>=3.10",
    "prometheus-client>=0.20",
    "pydantic>=2.10",
    "pydantic-settings>=2.6",
    "python-dotenv>=1.0",
    "rich>=13.9",
    "typer>=0.15",
    "uvicorn>=0.50",
    "uvloop>=0.20",
]
TRAIN = [
    "cloudpickle>=3.0",
    "matplotlib>=3.9",
    # These two set the report of make monitor.
    "jinja2>=3.1",
    "markupsafe>=2.1",
    "mlflow[auth]>=3.10",
    # Its converters export LightGBM and XGBoost, whose release 3.1 needs 1.16.
    "onnxmltools>=1.16",
    # From 7 on, skl2onnx fails on histogram gradient boosting.
    "protobuf<7",
    "psutil>=6.0",
    "pyarrow>=18",
    # boto3, an optional library, does not take 3.
    "python-dateutil<3",
    "requests>=2.32",
    "scipy>=1.13",
    "skl2onnx>=1.18",
]
# What models in Python need to be served; ONNX models do without it.
PYTHON_MODEL = [
    "pandas>=2.2",
    "scikit-learn>=1.6",
]
DEV = [
    "cruft>=2.16",
    "mypy>=1.13",
    "pandas-stubs>=2.2",
    "pre-commit>=4.0",
    "pytest>=8.3",
    "ruff>=0.8",
    "setuptools>=75",
    "types-psutil>=6.0",
    "types-requests>=2.32",
    "uv>=0.5",
]

# Optional parts: each file of requirements/extras is the extra of its name.
EXTRAS = {path.stem: path.read_text().split() for path in Path("requirements/extras").glob("*.in")}

DESCRIPTION = {{ "%r" | format(cookiecutter.description) }}  # fmt: skip
AUTHOR = {{ "%r" | format(cookiecutter.author) }}  # fmt: skip

setup(
    name="{{ cookiecutter.project_slug }}",
    version="0.1.0",
    # A summary has one line.
    description=" ".join(DESCRIPTION.split()),
    author=" ".join(AUTHOR.split()),
    license=LICENSE or None,
    packages=find_packages(include=["{{ cookiecutter.package_name }}*"]),
    # Whatever files your code reads beside itself.
    package_data={"{{ cookiecutter.package_name }}": ["**/*"]},
    exclude_package_data={"": ["*.py[co]"]},
    python_requires=">=3.11",
    install_requires=SERVE,
    extras_require={
        "model": [*PYTHON_MODEL, *MODEL],
        "train": [*PYTHON_MODEL, *MODEL, *TRAIN],
        "dev": [*PYTHON_MODEL, *MODEL, *TRAIN, *DEV],
        **EXTRAS,
    },
)
