"""What is installed: Python with its distributions, and the operating system with its packages.

The functions need nothing but the standard library: `main` also runs inside an image, from the text of this file, and
the image need not have it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any


def distributions(paths: list[str]) -> list[str]:
    """Return the metadata of the distributions on some paths; where one is on two paths, the first counts."""
    found: dict[Any, str] = {}
    for distribution in metadata.distributions(path=list(dict.fromkeys(paths))):
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        # The rest is the project's README.
        found.setdefault((distribution.metadata["Name"], distribution.version), text.partition("\n\n")[0])
    return sorted(found.values())


def python() -> dict[str, str]:
    """Return the version of Python, and what decides which requirements hold here (PEP 508)."""
    return {
        "implementation_name": sys.implementation.name,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": "",
        "platform_system": platform.system(),
        "platform_version": "",
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def operating_system(root: Path) -> dict[str, str]:
    """Return the fields of /etc/os-release, none where there is no such file."""
    path = root / "etc/os-release"
    lines = path.read_text().splitlines() if path.exists() else []
    return {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines) if value}


def packages(root: Path) -> list[dict[str, str]]:
    """Return the fields of Debian's installed packages, with the licences that their copyright files name."""
    status, folder = root / "var/lib/dpkg/status", root / "var/lib/dpkg/status.d"
    texts = [status.read_text(errors="replace")] if status.exists() else []
    if folder.exists():  # images without a package manager have a file for each package
        texts += [path.read_text(errors="replace") for path in sorted(folder.iterdir()) if path.suffix != ".md5sums"]
    found = []
    for paragraph in re.split(r"\n\s*\n", "\n\n".join(texts)):
        fields = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", paragraph, re.MULTILINE))
        if "Package" in fields and fields.get("Status", "installed").endswith("installed"):
            kept = ("Package", "Version", "Architecture", "Source", "Description")
            licences = _licences(root / "usr/share/doc" / fields["Package"] / "copyright")
            found.append({key: fields[key] for key in kept if key in fields} | {"Licences": licences})
    return found


def _licences(copyright: Path) -> str:
    """Return the short names of the licences in a copyright file, if it has the format that machines read."""
    try:
        text = copyright.read_text(errors="replace")
    except OSError:
        return ""
    names = re.findall(r"^License: *(\S.*)$", text, re.MULTILINE) if text.startswith("Format:") else []
    return "\n".join(sorted({name.strip() for name in names}))


def main() -> dict[str, Any]:
    """Return what an image has: the distributions that it runs with, and those of the Python that they are based on."""
    base = {"base": sys.base_prefix, "platbase": sys.base_prefix}
    below = [sysconfig.get_path(kind, vars=base) for kind in ("purelib", "platlib")]
    return {
        "environment": os.environ.get("IMAGE_ENVIRONMENT", ""),
        "python": python(),
        "distributions": distributions([*filter(None, sys.path), *below]),
        "operating_system": operating_system(Path("/")),
        "packages": packages(Path("/")),
    }


if __name__ == "__main__":
    print(json.dumps(main()))
