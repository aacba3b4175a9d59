"""Markdown pages as their readers use them: links that are followed, commands that are pasted."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

#: What stands behind a command that runs until it is interrupted; an address says what answers then.
SERVER = re.compile(r"  # until Ctrl-C(?:; (?P<url>http\S+))?$")
#: Addresses of servers that only the reader has: what is sent there is not run.
ELSEWHERE = "example.com"
#: How long a server without an address has to run.
ALIVE_SECONDS = 5.0
START_SECONDS, STOP_SECONDS = 60.0, 60.0


class Block(NamedTuple):
    """A code block: its language ("" if indented), its text, and the answer shown after it, if one is shown."""

    language: str
    text: str
    answer: str = ""

    @property
    def runs(self) -> bool:
        """Whether it can be run here."""
        return self.language in ("sh", "python") and ELSEWHERE not in self.text


class Page:
    """One Markdown file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
        self._inline = [child for token in self._tokens for child in token.children or ()]

    @property
    def anchors(self) -> set[str]:
        """The fragments of the page's headings, as GitHub makes them."""
        pairs = zip(self._tokens, self._tokens[1:], strict=False)
        titles = [_text(after) for token, after in pairs if token.type == "heading_open"]
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

    @property
    def links(self) -> list[str]:
        """The targets of links and pictures."""
        found = [token.attrGet("href") or token.attrGet("src") for token in self._inline]
        return [unquote(str(target)) for target in found if target is not None]

    @property
    def blocks(self) -> list[Block]:
        """The code blocks."""
        tokens = [token for token in self._tokens if token.type in ("fence", "code_block")]
        blocks = [Block(token.info.strip(), token.content) for token in tokens]
        pairs = zip(blocks, [*blocks, Block("", "")][1:], strict=True)
        return [block._replace(answer=after.text if after.language == "json" else "") for block, after in pairs]

    @property
    def words(self) -> list[str]:
        """The inline code."""
        return [token.content for token in self._inline if token.type == "code_inline"]

    @property
    def makes(self) -> list[str]:
        """Lines of blocks, and inline code, that call make."""
        lines = [line for block in self.blocks if block.language == "sh" for line in block.text.splitlines()]
        return [line for line in [*lines, *self.words] if re.match(r"(\w+=\S* )*make\b", line)]


def _text(token: Token) -> str:
    return "".join(child.content for child in token.children or () if child.type in ("text", "code_inline"))


def broken_links(page: Page) -> list[str]:
    """Return the links of a page that lead nowhere; addresses of other servers are not asked."""
    broken = []
    for link in page.links:
        if re.match("https?://", link):
            continue
        file, _, anchor = link.partition("#")
        target = page.path.parent / file if file else page.path
        if not target.exists() or (anchor and anchor not in Page(target).anchors):
            broken.append(f"{page.path.name}: {link}")
    return broken


def wrong_targets(page: Page, makefile: str, settings: set[str]) -> list[str]:
    """Return the commands of a page that call make with a target or a variable that is not there."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    # What a recipe reads, what the help names (make hands it on in the environment), and settings.
    read = re.findall(r"\$[({](?:if \$\()?([A-Z]+)\b|\b([A-Z]+)=", makefile)
    variables = {name for names in read for name in names} | settings
    wrong = []
    for command in page.makes:
        words = [word for word in shlex.split(command, comments=True) if word != "make"]
        names = {word.partition("=")[0] for word in words if "=" in word}
        if not names <= variables or not {word for word in words if "=" not in word} <= targets:
            wrong.append(f"{page.path.name}: {command}")
    return wrong


def run(block: Block, folder: Path, environment: Mapping[str, str], ports: Mapping[str, str]) -> str:
    """Run a block in a project as a reader would; `AssertionError` if it fails. `ports` replace those of the page."""
    text = re.sub(r"(?<=localhost:)\d+", lambda match: ports[match[0]], block.text)
    if server := SERVER.search(text.rstrip()):
        _interrupt(text, server["url"], folder, environment)
        return ""
    command = [".venv/bin/python", "-c", text] if block.language == "python" else ["sh", "-euc", text]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{text}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
    if re.search(r"^curl ", text, re.MULTILINE):
        _compare(done.stdout, block)
    return done.stdout


def _interrupt(text: str, url: str | None, folder: Path, environment: Mapping[str, str]) -> None:
    """Run a server until its address answers, or for some seconds if it has none; then press Ctrl-C."""
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["sh", "-c", text],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
            # A shell has its background jobs ignore Ctrl-C, the tests and their children among them.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )
    try:
        deadline = time.monotonic() + (START_SECONDS if url else ALIVE_SECONDS)
        while time.monotonic() < deadline and not (url and _answers(url)):
            assert process.poll() is None, f"{text}\nended by itself:\n{log.read_text()}"
            time.sleep(0.2)
        assert url is None or _answers(url), f"{text}\n{url} does not answer:\n{log.read_text()}"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise AssertionError(f"{text}\ndoes not end at Ctrl-C:\n{log.read_text()}") from None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _compare(output: str, block: Block) -> None:
    """Check that curl printed JSON with the keys of the answer shown, and no error where none is shown."""
    found = list(_documents(output))
    assert found, f"{block.text}\nprinted nothing"
    for document in found:
        failed = isinstance(document, dict) and "error" in document
        assert "error" in block.answer or not failed, f"{block.text}\nprinted {output}"
    if block.answer:
        assert [_keys(document) for document in found] == [_keys(json.loads(block.answer))], f"{block.text}\n{output}"


def _documents(text: str) -> Iterator[object]:
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()


def _keys(document: object) -> object:
    """Return the structure of a document: its keys, without the values."""
    if isinstance(document, dict):
        return {key: _keys(value) for key, value in document.items()}
    return [_keys(value) for value in document] if isinstance(document, list) else None
