"""Audit: ask an advisory service whether what the bills of materials list has known vulnerabilities."""

from __future__ import annotations

from pathlib import Path

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.release.bom import audit
from .toolkit.release.bom.osv import Osv, UnavailableError

#: Vulnerabilities that the owner accepts.
ACCEPTED = config.ROOT / "audit.accepted"
#: Names that are listed; further ones are counted.
SHOWN = 10
#: The exit codes: nothing that someone could act on; vulnerabilities; no answer, so that nothing is known.
CLEAN, VULNERABLE, NOT_CHECKED = 0, 1, 3


def run(settings: config.Settings, folder: Path = config.SBOM_FOLDER) -> int:
    """Print the vulnerabilities of what the documents of a folder list, and return the exit code."""
    paths = sorted(folder.glob("*.cdx.json"))
    if not paths:
        raise UserError(f"{folder} has no bill of materials: make sbom")
    listed, accepted = audit.read(paths), audit.accepted(ACCEPTED)
    try:
        with console.step("audit") as step:
            found = audit.audit(listed, Osv(settings.advisory_url), accepted)
            documents = ", ".join(path.name for path in paths)
            step.detail = f"{len(listed.packages)} packages of {documents}, asked at {settings.advisory_url}"
    except UnavailableError as error:
        console.err.print(
            f"Not checked: no advisory service answered ({error}). Whether the {len(listed.packages)} packages have "
            "known vulnerabilities is unknown. Name a service that can be reached from here in ADVISORY_URL.",
            markup=False,
            soft_wrap=True,
        )
        return NOT_CHECKED
    if listed.others:
        shown = listed.others[:SHOWN]
        more = f" and {len(listed.others) - SHOWN} others" if len(listed.others) > SHOWN else ""
        console.say(f"Not checked, as the service does not know such packages: {', '.join(shown)}{more}.")
    _show(found)
    return VULNERABLE if any(one.fails for one in found) else CLEAN


def _show(found: list[audit.Finding]) -> None:
    acting, waiting = [one for one in found if one.fails], [one for one in found if not one.fails]
    if acting:
        console.say()
        headings = ["package", "installed", "vulnerability", "fixed in", "found in"]
        console.table(headings, [_row(one) for one in acting])
        console.say(f"\n{len(acting)} known vulnerabilities.")
        console.next_steps(
            ("make lock UPGRADE=1", "newer libraries; make setup installs them"),
            ("make build", "with a newer base image (BASE_IMAGE), for packages of the system"),
            (ACCEPTED.name, "a line with name and reason accepts a vulnerability"),
        )
    else:
        console.say("No known vulnerability that a newer version fixes.")
    if waiting:
        names = ", ".join(f"{one.component} {one.name}" for one in waiting)
        console.say(f"\n{len(waiting)} in packages of the system wait for a fix, and do not fail the audit: {names}")


def _row(one: audit.Finding) -> list[str]:
    return [one.component, one.version, one.name, ", ".join(one.fixed) or "no fix", ", ".join(one.found_in)]
