"""Report: compare a version with the champion it was to replace, in Markdown; pipelines show it as their summary."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import config
from .shared.trust import model_store
from .toolkit.common import console
from .toolkit.common.names import CHAMPION, GATES, GATES_FAILED
from .toolkit.registry import runs
from .toolkit.registry.client import RegisteredVersion, Registry, connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.training import report
from .toolkit.training.details import Details

#: Where the report is written, with the plots of both versions.
FOLDER = config.ROOT / "report"


def run(settings: config.Settings, reference: str, folder: Path = FOLDER) -> str:
    """Print the report on a version, by number or alias, and return it; write it to a folder with the plots."""
    registry, store = connect(settings.mlflow_tracking_uri, settings.model_name), model_store(settings)
    with mlflow_errors(settings.mlflow_tracking_uri):
        version = registry.get(reference)
        store.pull(version, registry.download)
        details = Details.model_validate(store.load(version.number).details)
        subject = report.Subject(version.number, _outcome(version), runs.address(registry, version.run_id))
        text = report.write(subject, details)
        pictures = _save(registry, folder, version, details.champion)
    (folder / "report.md").write_text(f"{text}\n{pictures}", encoding="utf-8")
    where = folder.relative_to(config.ROOT) if folder.is_relative_to(config.ROOT) else folder
    text += f"\nThe plots of each version are in the folder `{where}`; a pipeline keeps it as an artifact.\n"
    console.out.print(text, markup=False, emoji=False, soft_wrap=True, end="")
    return text


def _outcome(version: RegisteredVersion) -> str:
    """Return in one sentence what became of a version."""
    if version.tags.get(GATES) == "failed" and CHAMPION in version.aliases:
        return f"**It failed its gates and is champion**, by FORCE=1: {version.tags.get(GATES_FAILED, '')}."
    if version.tags.get(GATES) == "failed":
        return f"**It failed its gates** and was not promoted: {version.tags.get(GATES_FAILED, '')}."
    if CHAMPION in version.aliases:
        return "**It passed its gates and is champion.**"
    return f"**It passed its gates and is not champion.** To approve it: `make promote VERSION={version.number}`"


def _save(registry: Registry, folder: Path, version: RegisteredVersion, champion: int | None) -> str:
    """Download the plots of a version and of the champion then, and return the Markdown that shows them."""
    # Those of an earlier report; what else is in the folder is somebody's.
    shutil.rmtree(folder / "plots", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    shown = [version]
    if champion is not None and (found := registry.find(str(champion))):
        shown.append(found)
    for one in shown:
        runs.download(one.run_id, "plots", folder / "plots" / str(one.number))
    names = sorted(path.name for path in (folder / "plots" / str(version.number)).glob("*.png"))
    return report.pictures([one.number for one in shown], names) if names else ""
