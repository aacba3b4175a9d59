"""The page: sections from a summary, set by templates that escape every value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from ...common import plurals
from ..summary import CalibrationPoint, OutlierRow, Summary, VersionSummary
from . import charts, decision, drift_section, quality_section, texts
from .charts import Span
from .drawing import Drawing, Scale
from .drift_section import Drift, MissingRow
from .quality_section import QualityCharts, QualityRow

#: With more fields, the values of a row stand in one cell.
MOST_COLUMNS = 12
MOST_OUTLIERS = 50
#: Cells of more characters are broken into lines; names of columns are cut.
SHORT, MOST_NAME = 24, 40
MOST_PAIRS = 30


class Outliers(NamedTuple):
    """Rare rows as a table: a column for each input and output, or one cell for all of them.

    `kinds` has the class of each column: "short" has no cell of more than a line.
    """

    columns: list[str]
    kinds: list[str]
    rows: list[tuple[OutlierRow, list[str]]]
    hidden: int


class Section(NamedTuple):
    """All that is shown of one version."""

    version: VersionSummary
    features: Drift
    outputs: Drift
    missing: list[MissingRow]
    quality: list[QualityRow]
    charts: QualityCharts
    calibration: Drawing | None
    outliers: Outliers
    traffic: Drawing | None
    shadow: int
    largest: str


def render(summary: Summary) -> str:
    """Return a page in HTML that needs nothing but itself: no network, no script, no font."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions = ("clean", "group", "minute", "moment", "number", "share", "value", "with_interval")
    environment.filters |= {"soft": texts.soft, "count": plurals.count}
    environment.filters |= {name: getattr(texts, name) for name in functions}
    versions = sorted(summary.versions, key=lambda one: ("champion" not in one.aliases, -one.number))
    return environment.get_template("page.html").render(
        summary=summary,
        sentence=decision.sentence(summary),
        rules=decision.rules(summary.rules),
        sections=_sections(summary, versions),
        # The last interval is not over yet.
        end=min(summary.end, summary.made, key=texts.utc),
        rows=sum(one.rows for one in versions),
        shares=texts.share,
    )


def _sections(summary: Summary, versions: Sequence[VersionSummary]) -> list[Section]:
    span = Span(summary.start, summary.end)
    highest = max((part.rows for one in versions for part in charts.in_bars(one.traffic)), default=0)
    scale = charts.plane_scale([max(highest, 3)], zero=True)
    return [_section(one, span, scale) for one in versions]


def _section(version: VersionSummary, span: Span, scale: Scale) -> Section:
    title, traffic = f"Version {version.number}", charts.in_bars(version.traffic)
    return Section(
        version=version,
        features=drift_section.drift(version.drift, "feature"),
        outputs=drift_section.drift(version.drift, "output"),
        missing=drift_section.missing(version.drift),
        quality=quality_section.table(version),
        charts=quality_section.charts(version, span),
        calibration=_calibration(version.calibration),
        outliers=_outliers(version.outlier_rows),
        traffic=charts.traffic(title, traffic, span, scale) if traffic else None,
        shadow=sum(part.shadow for part in traffic),
        largest=drift_section.largest(version.drift),
    )


def _calibration(points: Sequence[CalibrationPoint]) -> Drawing | None:
    return charts.calibration(sorted(points, key=lambda one: one.predicted)) if points else None


def _outliers(rows: Sequence[OutlierRow]) -> Outliers:
    shown = rows[:MOST_OUTLIERS]
    names = list(dict.fromkeys(name for row in shown for name in (*row.inputs, *row.outputs)))
    if len(names) > MOST_COLUMNS:
        cells = [[_pairs(row.inputs), _pairs(row.outputs)] for row in shown]
        names, kinds = ["inputs", "outputs"], ["text long", "text long"]
    else:
        cells = [[texts.value((row.inputs | row.outputs).get(name)) for name in names] for row in shown]
        kinds = ["short" if all(len(row[i]) <= SHORT for row in cells) else "text" for i in range(len(names))]
    columns = [texts.clean(name, MOST_NAME) for name in names]
    return Outliers(columns, kinds, list(zip(shown, cells, strict=True)), len(rows) - len(shown))


def _pairs(values: dict[str, object]) -> str:
    """Return values with their names, as a text."""
    pairs = [f"{texts.clean(name, MOST_NAME)} {texts.value(item, MOST_NAME)}" for name, item in values.items()]
    more = [f"and {len(pairs) - MOST_PAIRS} more"] if len(pairs) > MOST_PAIRS else []
    return "; ".join(pairs[:MOST_PAIRS] + more)
