"""Generate a project for one of the examples, with its data, ready to train: `make example NAME=houses`.

An example is a folder: Python files for `model/`, a folder `data`, and `example.json` with the answers to the questions
of cookiecutter.json, the libraries that the model needs, and the file to score, if it is not that of the data.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
EXAMPLES = ROOT / "examples"
#: The file of rows that these pages of a generated project score.
INPUT, PAGES = "data/titanic.csv", ("README.md", "docs/batch.md")


def main(name: str = "", destination: str = "") -> int:
    """Generate the example's project in a folder, print the next commands, and return the exit code."""
    if name not in names():
        print(f"There is no example {name!r}. There are:" if name else "make example NAME=..., one of:")
        for known in names():
            libraries = details(EXAMPLES / known).get("libraries", [])
            with_them = f" With {' and '.join(libraries)}." if libraries else ""
            print(f"  {known:<10}  {answers(EXAMPLES / known)['description']}{with_them}")
        return 1 if name else 0
    project = Path(destination or "build").expanduser() / answers(EXAMPLES / name)["project_slug"]
    if project.exists():
        print(f"{project} exists. Remove it, or name another folder: make example NAME={name} DEST=...")
        return 1
    try:
        generate(EXAMPLES / name, project.parent)
    except subprocess.CalledProcessError as error:
        print(f"{project} could not be generated:\n{error.stderr}")
        return 1
    print_next(project, details(EXAMPLES / name).get("libraries", []))
    return 0


def names() -> list[str]:
    """Return the names of the examples."""
    return sorted(path.parent.name for path in EXAMPLES.glob("*/example.json"))


def details(folder: Path) -> dict[str, Any]:
    """Return what an example's `example.json` says; nothing if there is none."""
    path = folder / "example.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def answers(folder: Path) -> dict[str, str]:
    """Return an example's answers to cookiecutter's questions."""
    return dict(details(folder)["answers"])


def generate(folder: Path, destination: Path) -> Path:
    """Generate an example's project in a folder, and return where it is; `CalledProcessError` if that fails."""
    options = ["--no-input", "--output-dir", str(destination)]
    command = [sys.executable, "-m", "cookiecutter", str(ROOT), *options]
    command += [f"{name}={text}" for name, text in answers(folder).items()]
    subprocess.run(command, check=True, capture_output=True, text=True)
    project = destination / answers(folder)["project_slug"]
    lay_over(folder, project)
    scored = details(folder).get("input", f"data/{folder.name}.csv")
    for page in (project / name for name in PAGES):
        page.write_text(page.read_text(encoding="utf-8").replace(INPUT, scored), encoding="utf-8")
    return project


def lay_over(folder: Path, project: Path) -> None:
    """Give a generated project the model, the data and the libraries of an example, instead of the sample's."""
    [config] = project.glob("*/config.py")
    for file in folder.glob("*.py"):
        shutil.copy(file, config.parent / "model")
    shutil.rmtree(project / "data")
    if (folder / "data").is_dir():
        shutil.copytree(folder / "data", project / "data", ignore=shutil.ignore_patterns("__pycache__"))
    if libraries := details(folder).get("libraries"):
        setup = project / "setup.py"
        listed = "".join(f"    {json.dumps(library)},\n" for library in libraries)
        text = setup.read_text(encoding="utf-8")
        setup.write_text(re.sub(r"(?ms)^(MODEL: list\[str\] = \[\n).*?^\]", rf"\g<1>{listed}]", text), encoding="utf-8")


def print_next(project: Path, libraries: list[str]) -> None:
    """Print what was generated, and the next commands."""
    package = next(project.glob("*/config.py")).parent.name
    steps = [(f"cd {project}", f"{package}/model has the four files of the model, data/ its rows")]
    if libraries:
        steps.append(("make lock", f"add {', '.join(libraries)} to the locked environments (downloads their hashes)"))
    steps.append(("make train", "install the environment (once), then train and register a first version"))
    steps.append(("make deploy", "serve it, and print its URL and a curl line to try"))
    print(f"Generated {project}. Next:")
    for command, why in steps:
        print(f"  {command:<{max(len(command) for command, _ in steps)}}  {why}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
