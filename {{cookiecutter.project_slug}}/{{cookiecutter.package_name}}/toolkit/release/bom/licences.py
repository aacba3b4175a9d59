"""Licences as CycloneDX has them: by their SPDX identifiers or expressions where these follow from the metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.message import Message
from typing import Any

from cyclonedx import spdx

#: The classifiers of PyPI that name one licence exactly. Others, such as "BSD License", stand for several.
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Python Software Foundation License": "PSF-2.0",
    "zlib/libpng License": "Zlib",
}
#: Other names of licences, in lower case. Debian calls that of MIT Expat.
NAMES = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd 3-clause license": "BSD-3-Clause",
    "expat": "MIT",
    "mit license": "MIT",
}
#: Longer texts in the field License are the licence itself.
LONGEST_NAME = 100

Licences = list[dict[str, Any]]


def of_text(text: str) -> Licences:
    """Return one licence from its name: as SPDX identifier or expression if it is one, else by this name."""
    text = text.strip()
    if not text:
        return []
    if identifier := spdx.fixup_id(NAMES.get(text.lower(), text)):
        return [{"license": {"id": identifier}}]
    if text.startswith("LicenseRef-") or spdx.is_expression(text):
        return [{"expression": text}]
    return [{"license": {"name": text}}]


def of_distribution(metadata: Message) -> Licences:
    """Return the licences in the metadata of a Python distribution, none where it names none."""
    if expression := metadata.get("License-Expression"):
        return of_text(expression)
    classifiers = [text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier", ()) if "License ::" in text]
    stated = metadata.get("License", "")
    exact = classifiers and all(name in CLASSIFIERS for name in classifiers)
    # A field with more than a name has the text of the licence.
    if stated and not exact and len(stated) <= LONGEST_NAME and "\n" not in stated and stated != "UNKNOWN":
        return of_text(stated)
    return _several(of_text(CLASSIFIERS.get(name, name)) for name in classifiers if name != "OSI Approved")


def of_package(names: str) -> Licences:
    """Return the licences in a Debian copyright file, from their short names, one a line."""
    return _several(of_text(_from_debian(name)) for name in names.splitlines())


def _several(found: Iterable[Licences]) -> Licences:
    """Return licences as one list, in which CycloneDX has no expressions: these become names."""
    licences = [licence for each in found for licence in each]
    if len(licences) > 1:
        licences = [{"license": {"name": one["expression"]}} if "expression" in one else one for one in licences]
    return [licence for i, licence in enumerate(licences) if licence not in licences[:i]]


def _from_debian(name: str) -> str:
    """Return a short name of Debian's as SPDX writes it, for the licences of GNU: GPL-2+ is GPL-2.0-or-later."""
    gnu = re.fullmatch(r"(A?|L?)GPL-(\d)(\.\d)?(\+?)", name)
    return f"{gnu[1]}GPL-{gnu[2]}{gnu[3] or '.0'}-{'or-later' if gnu[4] else 'only'}" if gnu else name
