"""Monitor: what the prediction log and the labels show of each version, and whether to train again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from . import config
from .model import quality
from .shared import retraining, training_data
from .shared.trust import model_store
from .toolkit.analysis import counters, figures, label_log, log_counts, log_files, summarize, terminal
from .toolkit.analysis.counters import Counted, CountedVersion
from .toolkit.analysis.report import render
from .toolkit.analysis.summarize import Analysis
from .toolkit.analysis.summary import Summary
from .toolkit.analysis.version_analysis import VersionAnalysis
from .toolkit.analysis.version_counts import VersionCounts
from .toolkit.analysis.version_sources import Sources
from .toolkit.analysis.window import EPOCH, Window
from .toolkit.batch.locations import locate
from .toolkit.common import console, plurals, progress
from .toolkit.common.errors import UserError, attribute_errors_to, explain_os_errors
from .toolkit.common.redaction import redact
from .toolkit.monitoring.prometheus_api import PrometheusApi
from .toolkit.registry.client import Registry, connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.runs import Run, start_run
from .toolkit.release.store import Release
from .toolkit.retraining import rules
from .toolkit.retraining.request import Outcome
from .toolkit.retraining.rules import Rule
from .toolkit.training.measurement import Criteria

#: Where the report is written, and its name.
FOLDER, REPORT = config.ROOT / "build" / "monitor", "report.html"
#: The exit code with --check if the decision is to train again.
RETRAIN = 3
COLOURS = {"retrain": "red", "report": "yellow", "quiet": "green", "not evaluated": "yellow"}


class Days(NamedTuple):
    """The days of the longest and of the shortest window, of the rules and of the report."""

    most: float
    fewest: float


class Monitored(NamedTuple):
    """The summary, and where it is."""

    summary: Summary
    champion: int | None
    report: Path
    run: str
    #: What became of the decision to train again, None if it was another one.
    retraining: Outcome | None = None

    def line(self) -> str:
        """Return the decision as a line of JSON."""
        fired = [result.model_dump(mode="json") for result in self.summary.rules if result.fired]
        content = {
            "decision": self.summary.decision,
            "model": self.summary.model,
            "champion": self.champion,
            "versions": [version.number for version in self.summary.versions],
            "rows": sum(version.rows for version in self.summary.versions),
            "labels": sum(version.labels for version in self.summary.versions),
            "rules": fired,
            "run": self.run,
            "report": str(self.report),
            "retraining": self.retraining._asdict() if self.retraining else None,
        }
        return json.dumps(content)


def run(settings: config.Settings, source: str = "", *, as_json: bool = False, folder: Path = FOLDER) -> Monitored:
    """Analyse the prediction log, decide by the rules of model/quality.py, and record it as an MLflow run.

    `source` is the folder of the log, by default LOG_FOLDER; where no log is left, PROMETHEUS_URL has the counters. The
    report goes to a folder.
    """
    criteria, wanted = training_data.criteria(), rules.parse(getattr(quality, "RULES", []))
    read = _from_counters if not source and _has_counters_alone(settings) else _from_log
    now = datetime.now(UTC)
    days = Days(max(settings.days, rules.most_days(wanted)), min(settings.days, rules.fewest_days(wanted)))
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri), start_run(registry, "monitor") as tracking:
        store = model_store(settings)
        sources = Sources(registry, store)
        sources.check_champion()
        analysis = read(settings, source, sources, criteria, now, days)
        with console.step("analyse") as one, attribute_errors_to(training_data.MODEL):
            window, shown = analysis.window, analysis.window.last(settings.days)
            summary = summarize.summarize(settings.model_name, analysis, shown, criteria.slices)
            summary = _decide(summary, sources, analysis.versions, wanted, window, now)
            one.detail = f"versions: {len(summary.versions)}, rules: {len(summary.rules)}"
        _record(tracking, summary, sources.champion, folder)
        found = Monitored(summary, sources.champion, folder / REPORT, tracking.id)
        _show(found, criteria, tracking.address)
        _show_next(found, store.readable_release())
        found = _act(settings, registry, found, tracking)
    if as_json:
        console.say(found.line())
    if found.retraining and found.retraining.state == "failed":
        raise UserError(found.retraining.sentence)
    return found


def _has_counters_alone(settings: config.Settings) -> bool:
    """Whether there is a Prometheus, and no log."""
    folder = locate(str(settings.log_folder))
    return bool(settings.prometheus_url) and not log_files.find(folder, log_files.PREDICTIONS, EPOCH)


def _from_log(
    settings: config.Settings, source: str, sources: Sources, criteria: Criteria, now: datetime, days: Days
) -> Analysis:
    """Return the analysis of the prediction log."""
    place, window = locate(source or str(settings.log_folder)), Window.of(now, days.most, shortest=days.fewest)
    if not place.is_folder():
        raise UserError(f"{place.address}: there is no such folder. make deploy serves and logs predictions there.")
    with progress.step("read", "rows") as step:
        counts = log_counts.count_log(place, window, sources.folder, criteria.slices, step.update)
        rows = sum(found.rows.total() for found in counts.versions.values())
        labels = plurals.count(len(counts.labels.numbers), "label")
        step.detail = f"{plurals.count(rows, 'row')} and {labels} in {place.address}"
    versions = [
        VersionAnalysis(sources.of(number), counts.versions.get(number, VersionCounts(False)), counts.labels, criteria)
        for number in sources.with_champion(counts.versions)
    ]
    notes = tuple(summarize.notes(counts))
    if settings.log_share < 1:
        notes += (f"LOG_SHARE={settings.log_share:g}: only this share of the requests.",)
    return Analysis(place.address, window, versions, counts.labels, notes)


def _from_counters(
    settings: config.Settings, source: str, sources: Sources, criteria: Criteria, now: datetime, days: Days
) -> Analysis:
    """Return the analysis of what a Prometheus has."""
    window = Window.of(now, days.most, counters.MOST_INTERVALS, shortest=days.fewest)
    with console.step("ask") as step:
        prometheus = PrometheusApi(settings.prometheus_url)
        found = counters.count(prometheus, window, now, sources.folder, settings.prometheus_job)
        step.detail = f"{settings.prometheus_url}, since {settings.log_folder} has no log"
    versions = [
        CountedVersion(sources.of(number), found.get(number, Counted(VersionCounts(False))))
        for number in sources.with_champion(found)
    ]
    return Analysis(redact(settings.prometheus_url), window, versions, label_log.latest([], 1), (counters.NOTE,))


def _decide(
    summary: Summary,
    sources: Sources,
    versions: Sequence[VersionAnalysis],
    wanted: list[Rule],
    window: Window,
    now: datetime,
) -> Summary:
    champion = next((version for version in versions if version.number == sources.champion), None)
    if champion is None:
        note = "There is no champion, so no rule is evaluated. First: make promote"
        return _with_note(summary, note) if wanted else summary
    if summary.versions and not _is_shown(champion.number, summary):
        summary = _with_note(
            summary,
            f"Version {champion.number} is the champion, and no prediction of it was logged in these days: it is not "
            "deployed, or nobody has called it yet.",
        )
    results = rules.evaluate(wanted, champion, window, now)
    return summary.model_copy(update={"rules": tuple(results), "decision": rules.decision(results)})


def _is_shown(champion: int | None, summary: Summary) -> bool:
    """Whether the champion has rows in the days that are shown."""
    return any(version.number == champion for version in summary.versions)


def _with_note(summary: Summary, note: str) -> Summary:
    return summary.model_copy(update={"notes": (*summary.notes, note)})


def _record(tracking: Run, summary: Summary, champion: int | None, folder: Path) -> None:
    """Write the report, and record it in the run with the figures."""
    with console.step("record") as step, explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.json").write_text(summary.model_dump_json(indent=1) + "\n")
        (folder / REPORT).write_text(render(summary), encoding="utf-8")
        tracking.log_parameters(
            {"source": summary.source, "start": summary.start, "end": summary.end, "decision": summary.decision}
        )
        tracking.log_metrics(figures.run_metrics(summary, champion))
        tracking.set_tags({"decision": summary.decision} | ({"version": str(champion)} if champion else {}))
        tracking.log_files(folder, "monitor")
        step.detail = "figures, summary and report, in an MLflow run"


def _show(found: Monitored, criteria: Criteria, address: str) -> None:
    """Print what was found, and what the rules say of it."""
    summary = found.summary
    console.say()
    if summary.versions:
        headings, rows = terminal.versions(summary, _metrics(criteria))
        console.table(headings, rows)
    if summary.rules:
        console.say()
        headings, rows = terminal.rules(summary)
        console.table(headings, rows, COLOURS)
    console.say()
    for note in terminal.notes(summary):
        console.say(f"Note: {note}", "yellow")
    console.say(f"Report:   {found.report}")
    console.say(f"Run:      {address}")
    console.say(f"Decision: {terminal.decision(summary)}", "bold")


def _show_next(found: Monitored, released: Release | None) -> None:
    """Print the next command if the champion has no rows; `released` is what was deployed from this machine."""
    if _is_shown(found.champion, found.summary):
        return
    champion = f"version {found.champion}, the champion" if found.champion else "the champion"
    if released and released.champion == found.champion:
        console.next_steps(("make status", f"whether {champion}, is served: it was deployed, and has no rows"))
    else:
        console.next_steps(("make deploy", f"serve {champion}; what it predicts is logged"))


def _act(settings: config.Settings, registry: Registry, found: Monitored, tracking: Run) -> Monitored:
    """Start a training, if that is the decision and nothing is in the way; print and record what became of it."""
    outcome = retraining.act_on(settings, registry, found.summary, tracking.id)
    if outcome is None:
        return found
    if outcome.state != "failed":
        console.say(f"Training: {outcome.sentence}")
    tracking.set_tags({"retraining": outcome.sentence})
    return found._replace(retraining=outcome)


def _metrics(criteria: Criteria) -> list[str]:
    """Return the metric of the first gate: a terminal has 80 characters."""
    return [next(iter(criteria.gates)).partition("/")[0]] if criteria.gates else []
