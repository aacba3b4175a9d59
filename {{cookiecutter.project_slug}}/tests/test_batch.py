"""Files of rows: `make predict` gives the predictions that the service gives."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest

from {{ cookiecutter.package_name }} import config, predict

Rows = list[dict[str, Any]]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_file_gets_the_predictions_of_the_training(
    settings: config.Settings, tmp_path: Path, rows: Rows, predictions: Rows, suffix: str
) -> None:
    source, output = (tmp_path / "rows").with_suffix(suffix), tmp_path / "predictions.parquet"
    table = pd.DataFrame(rows)
    table.to_csv(source, index=False) if suffix == ".csv" else table.to_parquet(source)
    result = predict.run(settings, str(source), str(output), "champion")
    assert (result.counts.rows, result.counts.rejected) == (len(rows), 0)
    assert pyarrow.parquet.read_table(output, columns=list(predictions[0])).to_pylist() == predictions
