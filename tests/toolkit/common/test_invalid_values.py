"""What is said of a value that a model of pydantic does not take."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from titanic_survival.toolkit.common import invalid_values


class Setting(BaseModel):
    """Values of all types."""

    model_config = ConfigDict(extra="forbid")

    port: int = Field(default=3000, ge=1, le=65535)
    strict: bool = False
    share: float = Field(default=0.5, gt=0, lt=1, allow_inf_nan=False)
    target: Literal["local", "docker"] = "local"
    region: str = "here"
    steps: list[int] = []

    @field_validator("region")
    @classmethod
    def _somewhere(cls, region: str) -> str:
        if not region:
            raise ValueError("name a region")
        return region


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"port": "x"}, "write a whole number, not 'x'"),
        ({"port": 0}, "write at least 1, not 0"),
        ({"port": 70000}, "write at most 65535, not 70000"),
        ({"strict": "yess"}, "write true or false, not 'yess'"),
        ({"share": 0}, "write more than 0.0, not 0"),
        ({"share": 1}, "write less than 1.0, not 1"),
        ({"share": float("nan")}, "write a finite number, not nan"),
        ({"target": "locl"}, "write 'local' or 'docker', not 'locl'"),
        ({"region": ""}, "name a region, not ''"),
        ({"steps": 5}, "write a list, not 5"),
        ({"prot": 1}, "there is no such key (did you mean 'port'?); the keys are port, strict"),
        ({"zzz": 1}, "there is no such key; the keys are port, strict"),
        ({"region": b"\xff"}, "Input should be a valid string, unable to parse raw data as a unicode string, not b"),
    ],
)
def test_value_and_what_to_write_instead_are_said(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Setting.model_validate(values)
    (error,) = caught.value.errors()
    assert invalid_values.describe(error, Setting.model_fields).startswith(said)
