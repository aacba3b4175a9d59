"""The formats of a version's folder: the toolkit reads every one since the first, and writes the last.

A file named `format` holds the number; where there is none, it is 1. The JSON documents of an older format are
upgraded when they are read, one format after the other; the folder stays as it is, since its digest is registered. A
change of a name or of a meaning in these documents is a new format: add 1 to `CURRENT`, add an entry to `UPGRADES`, and
keep a folder of the new format in the tests.

    1    without a number
    2    contract: "choices" became "categories"; profile: the kind of bins "words" became "categories", their reduction
         "largest" became "max", and of the outlier detector "rarities" became "features", their "bins" "scores",
         "spread" "scale", and "share" "rate"; details: "shift" became "drift"
    3    contract: "classes", in whose order probabilities are; before, they had the order of the model, and keep it
    4    contract: kinds of fields for texts, keys, dates and times; "label_count" and "threshold", without which there
         is one label, and the model decides; `features.pkl` and `features.json`, without which the model sees the row
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..common.errors import UserError

FILE = "format"
CURRENT = 4

Document = dict[str, Any]
Upgrade = Callable[[Document], Document]


def number(folder: Path) -> int:
    """Return the format of a version's folder; `UserError` if this toolkit cannot read it."""
    path = folder / FILE
    text = path.read_text().strip() if path.exists() else "1"
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{path} holds {text[:20]!r}, which is no format number: the file was changed. Deploy again.")
    found = int(text)
    if found > CURRENT:
        raise UserError(
            f"{folder} has format {found}; the newest that this toolkit reads is {CURRENT}. "
            "Update the toolkit: make update"
        )
    return found


def read(folder: Path, file: str) -> Document:
    """Return a JSON document of a version in the current format."""
    # First: a newer format may have no such file.
    found = number(folder)
    document: Document = json.loads((folder / file).read_bytes())
    for older in range(found, CURRENT):
        document = UPGRADES[older].get(file, _unchanged)(document)
    return document


def _unchanged(document: Document) -> Document:
    return document


def _rename(document: Document, **names: str) -> Document:
    return {names.get(name, name): value for name, value in document.items()}


def _contract_2(contract: Document) -> Document:
    return {part: [_rename(field, choices="categories") for field in fields] for part, fields in contract.items()}


def _profile_2(profile: Document) -> Document:
    bins = {part: {name: _bins_2(bins) for name, bins in profile[part].items()} for part in ("features", "outputs")}
    return profile | bins | {"outliers": _outliers_2(profile["outliers"])}


def _bins_2(bins: Document) -> Document:
    if bins["kind"] == "words":
        return bins | {"kind": "categories"}
    return bins | {"reduce": "max"} if bins["reduce"] == "largest" else bins


def _outliers_2(outliers: Document) -> Document:
    features = {
        name: {"scores": feature["bins"], "tail": feature["tail"] and _rename(feature["tail"], spread="scale")}
        for name, feature in outliers["rarities"].items()
    }
    return _rename(outliers | {"rarities": features}, rarities="features", share="rate")


#: By the format that it starts from, and by the document: the upgrade to the next format.
UPGRADES: dict[int, dict[str, Upgrade]] = {
    1: {
        "contract.json": _contract_2,
        "profile.json": _profile_2,
        "details.json": lambda details: _rename(details, shift="drift"),
    },
    2: {},
    3: {},
}
