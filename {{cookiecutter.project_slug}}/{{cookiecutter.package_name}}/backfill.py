"""Backfill: score the folders of a range of dates, each into a folder of its own, without those that are done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from . import config
from .shared.trust import model_store
from .toolkit.batch import dates, job, recorded
from .toolkit.batch.dates import DateFolder
from .toolkit.batch.folder import Folder
from .toolkit.batch.locations import Location, locate
from .toolkit.batch.scoring import Scorer
from .toolkit.common import console, progress
from .toolkit.common.errors import UserError
from .toolkit.monitoring.batch_metrics import JobReport
from .toolkit.registry.client import Registry, connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.runs import Run, start_run

EXAMPLE = "For example: make backfill INPUT=rows/ OUTPUT=scores/ FROM=2026-01-01 TO=2026-01-31"


class Backfill(NamedTuple):
    """What to score: the folders of the dates, and where each one's scores go."""

    todo: list[DateFolder]
    scores: Folder
    scorer: Scorer
    settings: config.Settings

    def job(self, day: DateFolder) -> job.Job:
        """Return the job of a date; of one that was interrupted, what is missing."""
        output = _scores_of(day, self.scores)
        address = f"{output.location.address}/{f'*{output.format}' if output.format else ''}"
        settings = self.settings
        return job.Job(day.location.address, address, self.scorer, settings.strict, settings.max_rejects, resume=True)


def run(
    settings: config.Settings, source: str, output: str, first: str, last: str, reference: str, *, force: bool = False
) -> None:
    """Score the folders of the dates from the first to the last, and record a run for each."""
    if settings.engine != "local":
        raise UserError(
            f"ENGINE={settings.engine}: a backfill runs on this machine. Unset ENGINE, or score each folder:"
            " make predict"
        )
    rows, scores = _folders(source, output)
    start, end = _date("FROM", first), _date("TO", last)
    if start > end:
        raise UserError(f"FROM={first} is after TO={last}. {EXAMPLE}")
    found, missing = dates.find(rows, start, end)
    _report_missing(source, found, missing, strict=settings.strict)
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        scorer = recorded.pull(registry, model_store(settings), reference)
        todo = _without_those_done(found, scores, scorer, force=force)
        if not todo:
            console.say(f"\nNothing to score: {len(found)} dates are done.")
            return
        with start_run(registry, "backfill") as tracking:
            tracking.log_parameters({"input": source, "output": output, "from": start, "to": end})
            scored = _score(Backfill(todo, scores, scorer, settings), registry, tracking)
    console.say(f"\nPredictions: {output}")
    console.say(f"Scored:      {len(todo)} dates, {scored:,} rows; {len(found) - len(todo)} dates were done before")
    console.say(f"Runs:        one for each date, below {tracking.address}")


def _score(backfill: Backfill, registry: Registry, tracking: Run) -> int:
    """Score the dates, each in a run of its own; returns the number of rows, `UserError` if dates failed."""
    version, todo = backfill.scorer.version, backfill.todo
    tracking.log_parameters({"version": version, "dates": len(todo)})
    tracking.set_tags({"version": str(version)})
    reports: list[JobReport] = []
    failed: list[str] = []
    with progress.step("score", "rows") as step:
        for i, day in enumerate(todo):

            def told(rows: int, share: float, before: int = i) -> None:
                step.update(rows, (before + share) / len(todo))

            try:
                with start_run(registry, "predict", str(day.date)) as own:
                    work = backfill.job(day)
                    own.set_tags({"date": str(day.date)})
                    _, report = recorded.run(own, work, told)
            except UserError as error:  # of this date's rows; those of the others may be right
                console.warn(f"{day.date}: {error}")
                failed.append(str(day.date))
                continue
            reports.append(report)
            console.say(_line(day, report))
        step.detail = f"{len(reports)} of {len(todo)} dates"
    rows = sum(report.rows for report in reports)
    counted = {"rows": rows, "rejected": sum(report.rejected for report in reports)}
    tracking.log_metrics({"dates_scored": len(reports), "dates_failed": len(failed), **counted})
    if failed:
        raise UserError(
            f"{len(failed)} of {len(todo)} dates failed: {', '.join(failed)}. The others are done; the same command "
            "tries these again."
        )
    return rows


def _line(day: DateFolder, report: JobReport) -> str:
    line = f"{day.date}  {report.rows:,} rows"
    if report.rejected:
        line += f", {report.rejected:,} rejected"
    drift = report.counts.feature_drift(report.profile)
    if drift:
        feature = max(drift, key=drift.__getitem__)
        line += f", largest drift {drift[feature]:.2f} ({feature})"
    return line


def _without_those_done(
    found: Sequence[DateFolder], scores: Folder, scorer: Scorer, *, force: bool
) -> list[DateFolder]:
    """Return the dates that are to be scored, and say which were done by another version."""
    todo, others = [], dict[int, list[DateFolder]]()
    for day in found:
        done = _scores_of(day, scores).summary()
        # With FORCE, the parts of a folder decide: those that this version has scored are as they would be.
        if done is None or force:
            todo.append(day)
        elif done.get("digest") != scorer.digest:
            others.setdefault(int(done.get("version", 0)), []).append(day)
    for version, days in sorted(others.items()):
        what = f"{days[0].date} was" if len(days) == 1 else f"{len(days)} dates from {days[0].date} on were"
        console.warn(f"{what} scored by version {version}; FORCE=1 scores them anew by version {scorer.version}")
    return todo


def _scores_of(day: DateFolder, scores: Folder) -> Folder:
    return Folder(scores.location.child(day.name), scores.format)


def _report_missing(source: str, found: Sequence[DateFolder], missing: Sequence[date], *, strict: bool) -> None:
    layouts = ", ".join(f"{layout}/" for layout in dates.LAYOUTS)
    if not found:
        raise UserError(f"{source}: none of the {len(missing)} dates has a folder there; its name would be {layouts}")
    if missing:
        names = ", ".join(map(str, missing[:10])) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        sentence = f"{source} has no folder for {len(missing)} of {len(found) + len(missing)} dates: {names}"
        if strict:
            raise UserError(f"{sentence} (STRICT=1)")
        console.warn(sentence)


def _folders(source: str, output: str) -> tuple[Location, Folder]:
    """Return the folder of the dates, and that of their scores; `UserError` if they cannot be used."""
    for name, address in (("INPUT", source), ("OUTPUT", output)):
        if not address:  # what the Makefile gives where nothing is set
            raise UserError(f"{name} is missing. {EXAMPLE}")
    rows, scores = locate(source), job.as_folder(locate(output))
    if not rows.is_folder():
        raise UserError(f"{source}: there is no such folder. {EXAMPLE}")
    if scores is None:
        raise UserError(f"{output}: OUTPUT is a folder here, in which each date gets one. {EXAMPLE}")
    if scores.location.real == rows.real:
        raise UserError(f"{output} is both INPUT and OUTPUT; choose another OUTPUT, so that the input is kept")
    parent = scores.location.parent
    if scores.location.is_local and not parent.is_folder():
        raise UserError(f"{output}: the folder {parent.address} does not exist; make it, or choose another OUTPUT")
    return rows, scores


def _date(name: str, text: str) -> date:
    """Return a date; a scheduler has no other words for those that move."""
    today = datetime.now(UTC).date()
    if text in ("today", "yesterday"):
        return today - timedelta(days=text == "yesterday")
    try:
        return date.fromisoformat(text)
    except ValueError:
        wrong = f"{name}={text}: this is no date" if text else f"{name} is missing"
        raise UserError(f"{wrong}; it is YYYY-MM-DD, today or yesterday (in UTC). {EXAMPLE}") from None
