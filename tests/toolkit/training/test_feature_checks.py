"""What a function of `model/features.py` may do, and what stops the training."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import feature_checks


class Row(BaseModel):
    """Numbers, a category, and values that may be missing."""

    amount: float = Field(ge=0, le=1000)
    age: float | None = None
    truth: bool = False
    word: Literal["a", "b", "c"] | None = None


class Prediction(BaseModel):
    """A number."""

    answer: float


CONTRACT = derive(Row, Prediction)
RANDOM = np.random.default_rng(0)
ROWS = 2000
COLUMNS = {
    "amount": RANDOM.uniform(1, 1000, ROWS).astype(np.float32),
    "age": RANDOM.uniform(1, 90, ROWS).astype(np.float32),
    "truth": np.tile([0, 1], ROWS // 2).astype(np.float32),
    "word": np.resize(np.array(["a", "b", "", "b"], dtype=object), ROWS),
}


def check(function: Callable[[pd.DataFrame], Any]) -> feature_checks.Features:
    return feature_checks.check(function, CONTRACT, COLUMNS)


def plus(**columns: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a function that adds columns."""
    return lambda frame: frame.assign(**columns)


def test_columns_of_every_kind_are_numbers_or_text() -> None:
    features = check(
        lambda frame: pd.DataFrame(
            {
                "root": np.sqrt(frame["amount"]),
                "whole": frame["amount"].astype("int64"),
                "old": frame["age"] > 50,
                "nullable": frame["age"].astype("Float64"),
                "objects": [None if value > 500 else value for value in frame["amount"].tolist()],
                "decimals": [Decimal(str(value)) for value in frame["amount"]],
                "label": frame["word"].str.upper().replace("", None),
                "texts": pd.Series(["x" if value > 500 else None for value in frame["amount"]], dtype=object),
                "fixed": pd.Categorical(frame["word"], ["a", "b"]),
            }
        )
    )
    texts = {"label", "texts", "fixed"}
    assert features.kinds == {name: "text" if name in texts else "number" for name in features.kinds}
    found = features.columns({name: array[:4] for name, array in COLUMNS.items()})
    assert list(found) == list(features.kinds)
    assert {name: array.dtype for name, array in found.items()} == {
        name: np.dtype(object) if name in texts else np.dtype(np.float32) for name in found
    }
    assert found["label"].tolist() == ["A", "B", "", "B"]
    assert found["fixed"].tolist() == ["a", "b", "", "b"]
    np.testing.assert_array_equal(found["old"], COLUMNS["age"][:4] > 50)
    assert features.model_contract(CONTRACT).model_columns == list(found)
    assert features.model_contract(CONTRACT).prediction == CONTRACT.prediction


def test_function_may_change_the_frame_that_it_is_given() -> None:
    before = {name: array.copy() for name, array in COLUMNS.items()}

    def in_place(frame: pd.DataFrame) -> pd.DataFrame:
        frame["amount"] = frame["amount"] / 2
        frame.loc[frame["age"].isna(), "age"] = -1
        return frame

    assert list(check(in_place).kinds) == list(COLUMNS)
    for name, array in before.items():
        np.testing.assert_array_equal(COLUMNS[name], array)


@pytest.mark.parametrize(
    "column",
    [
        lambda frame: frame["amount"] - frame["amount"].mean(),
        lambda frame: frame["amount"].rank(pct=True),
        lambda frame: frame["amount"].shift(),
        lambda frame: frame["amount"].diff().fillna(0),
        lambda frame: frame["amount"].cumsum(),
        lambda frame: frame["amount"] / frame["amount"].max(),
        lambda frame: frame.groupby("word")["amount"].transform("mean"),
        lambda frame: frame["word"].map(frame["word"].value_counts()),
        lambda frame: frame["word"].astype("category").cat.codes,
        lambda frame: pd.factorize(frame["word"])[0],
        lambda frame: pd.qcut(frame["amount"], 4, labels=False),
        lambda frame: np.arange(len(frame)),
        lambda frame: frame["word"].shift(fill_value="none"),
        # Missing in no training row, but the schema allows it.
        lambda frame: frame["age"].fillna(frame["age"].median()),
    ],
)
def test_column_that_depends_on_other_rows_is_named_with_the_cure(column: Callable[[pd.DataFrame], Any]) -> None:
    with pytest.raises(UserError, match=r"model/features\.py") as error:
        check(plus(skewed=column))
    text = str(error.value)
    # Some fail on a single row, others differ.
    assert "'skewed' of a row depends on the other rows" in text or "may be given one row" in text, text
    assert "belongs into a step of the pipeline" in text or "correct it" in text, text


def test_rows_in_another_order_are_named() -> None:
    with pytest.raises(UserError, match="depends on the other rows of the frame"):
        check(lambda frame: frame.sort_values("amount"))


def test_columns_that_follow_from_the_values_at_hand_are_named() -> None:
    with pytest.raises(UserError, match=r"no column 'word_.?', but did for other rows"):
        check(lambda frame: pd.get_dummies(frame))


@pytest.mark.parametrize("kind", [float, str])
def test_random_numbers_are_named(kind: type) -> None:
    random = np.random.default_rng()
    with pytest.raises(UserError, match=r"'noise' differs when the same rows are given again.*no random numbers"):
        check(plus(noise=lambda frame: [kind(number) for number in random.random(len(frame))]))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda frame: frame.assign(x=frame["amuont"]), r"KeyError: 'amuont'.*columns amount, age, truth, word"),
        (lambda frame: None, "returned NoneType, not a pandas DataFrame"),
        (lambda frame: frame.to_numpy(), "returned ndarray, not a pandas DataFrame"),
        (lambda frame: frame["amount"], "returned Series, not a pandas DataFrame"),
        (lambda frame: frame[[]], "returned no columns"),
        (lambda frame: frame[frame["amount"] > 500], r"returned \d+ rows for 2000.*load\(\) of model/data\.py"),
        (lambda frame: frame.rename(columns={"age": 7}), "a column named 7; a name must be a text"),
        (lambda frame: frame.rename(columns={"age": "amount"}), "two columns named 'amount'"),
        (plus(day=lambda frame: pd.Timestamp("2026-01-01")), "'day' of features.* has the type datetime64"),
        (plus(pair=lambda frame: [[1, 2]] * len(frame)), "'pair' of features.* has the type object"),
        (plus(late=lambda frame: np.log(frame["amount"] * 0)), r"'late' is infinite.*2000 training rows.*'amount'"),
        (plus(huge=lambda frame: 1e39), "'huge' is infinite, or too large for float32"),
        # No training row has the amount 0, which the schema allows.
        (plus(rare=lambda frame: 1 / frame["amount"]), "'rare' is infinite.*rows with the values at the bounds"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_mistake_is_named(function: Callable[[pd.DataFrame], Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check(function)


def test_failure_names_file_and_line(tmp_path: Any) -> None:
    file = tmp_path / "model" / "features.py"
    code = "def features(frame):\n    frame = frame.copy()\n    return 1 / 0\n"
    names: dict[str, Any] = {}
    exec(compile(code, file, "exec"), names)
    with pytest.raises(UserError, match=r"^model/features\.py, line 3: ZeroDivisionError"):
        check(names["features"])


def test_rounding_is_no_dependence_on_other_rows() -> None:
    # Sums over a row may be made in another order for many rows than for one.
    def rounded(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(total=frame["amount"] * (1 + 1e-7 * (len(frame) == 1)))

    assert check(rounded).kinds["total"] == "number"


class Dated(BaseModel):
    """A date and a text."""

    day: date
    note: str = Field(max_length=100)


def test_dates_are_given_as_their_parts_and_texts_as_they_are() -> None:
    contract = derive(Dated, Prediction)
    frame = pd.DataFrame({"day": ["2026-01-31", "2026-02-01"] * 20, "note": ["one two", "three"] * 20})
    columns, violations = dataframes.check_features(frame, contract)
    assert not violations

    def function(frame: pd.DataFrame) -> pd.DataFrame:
        weekend = frame["day_weekday"] >= 5
        return pd.DataFrame(
            {"weekend": weekend, "words": frame["note"].str.split().str.len(), "first": frame["note"].str[:3]}
        )

    features = feature_checks.check(function, contract, columns)
    found = features.columns({name: array[:2] for name, array in columns.items()})
    assert found["words"].tolist() == [2, 1]
    assert found["first"].tolist() == ["one", "thr"]
    behind, rows = feature_checks.parity_rows(contract, features, columns)
    # What the schema allows went through the function, and nothing else is given to the model.
    assert "uns" in rows["first"].tolist()
    assert [field.categories for field in behind.row if field.is_text] == [("one",)]


def test_few_rows_are_enough() -> None:
    one = {name: array[:1] for name, array in COLUMNS.items()}
    assert feature_checks.check(plus(x=lambda frame: frame["age"] * 2), CONTRACT, one).kinds["x"] == "number"
