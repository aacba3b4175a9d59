"""Scoring request bodies by the versions of a release."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring import metrics
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer


class Row(BaseModel):
    """One number."""

    amount: float


class Prediction(BaseModel):
    """A field of each kind."""

    label: Literal["low", "high"]
    count: int
    truth: bool
    share: float
    pair: list[float] = Field(min_length=2, max_length=2)


class Wild:
    """Answers every field, in the forms that NumPy has for them; fails on 13."""

    def predict(self, frame: Any) -> dict[str, Any]:
        """Return all fields."""
        amount = frame["amount"].to_numpy()
        if (amount == 13).any():
            raise RuntimeError("13 is too much")
        return {
            "label": np.where(amount > 1, "high", "low"),
            "count": amount.astype(np.int16),
            "truth": amount > 1,
            "share": np.where(amount == 0, np.nan, amount / 10),
            "pair": np.stack([amount, -amount], axis=1),
        }


class Transposed(Wild):
    """Answers a vector whose columns lie beside each other in memory, not its rows."""

    def predict(self, frame: Any) -> dict[str, Any]:
        """Return all fields."""
        answer = super().predict(frame)
        return answer | {"pair": np.asfortranarray(answer["pair"].astype(np.float32))}


@pytest.fixture(params=[Wild, Transposed])
def wild(request: pytest.FixtureRequest, save: Callable[..., Any], tmp_path: Path) -> Scorer:
    version = save(Row, Prediction, request.param(), [{"amount": 1.0}])
    store = Store(tmp_path / "store")
    shutil.copytree(version.folder, store.path(1))
    store.write(Release.now("wild", 1, {1: ("champion",)}))
    live = LiveRelease(store.root)
    live.load()
    return Scorer(live, Limits(1000, 1_000_000))


def answers(scorer: Scorer, *bodies: Any) -> list[tuple[int, Any]]:
    """Return status and content for bodies that are sent at the same time."""

    async def together() -> Any:
        return await asyncio.gather(*(scorer.answer(json.dumps(body).encode()) for body in bodies))

    return [(status, json.loads(content)) for status, content in asyncio.run(together())]


def test_every_kind_of_field_is_answered_in_plain_json(wild: Scorer) -> None:
    ((status, rows),) = answers(wild, [{"amount": 2}, {"amount": 0}])
    assert status == 200
    assert [{name: row[name] for name in Prediction.model_fields} for row in rows] == [
        {"label": "high", "count": 2, "truth": True, "share": 0.2, "pair": [2.0, -2.0]},
        {"label": "low", "count": 0, "truth": False, "share": None, "pair": [0.0, -0.0]},
    ]


def test_rows_on_which_the_model_fails_do_not_fail_other_callers(wild: Scorer) -> None:
    bodies = [[{"amount": number}, {"amount": number / 2}] for number in range(20)]
    for number, (status, content) in enumerate(answers(wild, *bodies)):
        if number == 13:
            assert status == 500
            assert "13 is too much" in content["error"]
        else:
            assert status == 200
            assert [row["pair"][0] for row in content] == [number, number / 2]


def test_requests_and_rows_are_counted(wild: Scorer) -> None:
    def counted() -> list[float]:
        wild.recorder.drain()
        counters = [metrics.REQUESTS.labels(1, code) for code in (200, 400, 500)] + [metrics.ROWS.labels(1)]
        return [counter._value.get() for counter in counters]

    before = counted()
    answers(wild, [{"amount": 1}] * 3, [{}, 1], [{"amount": 13}], [])
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [2, 1, 1, 3]


def test_service_without_a_loaded_version_answers_503(served: Path) -> None:
    ((status, content),) = answers(Scorer(LiveRelease(served), Limits(1, 1)), [])
    assert status == 503
    assert content["error"]


def test_store_without_a_release_names_the_commands(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make train && make deploy"):
        LiveRelease(tmp_path).load()


def test_version_that_predicts_otherwise_is_not_served(served: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    shutil.copytree(served / "versions", store.root / "versions")
    store.write(Store(served).release())
    example = store.path(1) / "example.json"
    content = json.loads(example.read_text())
    label = next(iter(content["predictions"][0]))
    content["predictions"][0][label] = "another" if isinstance(content["predictions"][0][label], str) else 12345
    example.write_text(json.dumps(content))
    with pytest.raises(UserError, match="row 0"):
        LiveRelease(store.root).load()
