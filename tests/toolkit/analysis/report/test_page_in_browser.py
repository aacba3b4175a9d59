"""The page in a real browser: on a phone nothing is cut off, nothing complains, and nothing else is asked for."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from summaries import hostile, rule, summary, version
from titanic_survival.toolkit.analysis.report import render

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: What a browser asks its maker for, in spite of these options, is no matter of the page.
MAKER = re.compile(r"^(https?://)?[\w.-]+\.(google|googleapis|gvt1)\.com[:/]")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", *QUIET)
PHONE = 390
#: Shows the page in a frame as wide as a phone, and says how wide it has become and which elements are too wide.
FRAME = """<!doctype html><title>frame</title><link rel="icon" href="data:,">
<iframe src="/page.html" width="%d" height="800" style="border:0"></iframe>
<pre id="found"></pre><script>
window.addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const scrolled = element => element && (element.matches(".scroll, svg") || scrolled(element.parentElement));
  const wide = [...page.querySelectorAll("body *")].filter(element =>
    element.getBoundingClientRect().right > %d + 1 && !scrolled(element.parentElement) && element.checkVisibility());
  document.getElementById("found").textContent = JSON.stringify({
    width: page.documentElement.scrollWidth,
    wide: wide.map(element => element.outerHTML.slice(0, 100)),
    headings: page.querySelectorAll("h2").length,
    scripts: page.scripts.length,
    shades: getComputedStyle(page.querySelector(".scroll")).backgroundAttachment.split(", ").slice(0, 4),
  });
});
</script>"""


class Server(ThreadingHTTPServer):
    """Serves two pages, and is the proxy of the browser, so that it sees every request to any address."""

    daemon_threads = True
    pages: dict[str, str]
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    """Answers with a page of the server, and keeps what was asked."""

    server: Server

    def do_GET(self) -> None:
        """Answer a request."""
        self.server.asked.append(self.path)
        content = self.server.pages.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write((content or "").encode())

    def do_CONNECT(self) -> None:
        """Refuse a connection to another server."""
        self.server.asked.append(self.path)
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@contextmanager
def serving(pages: dict[str, str]) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.pages, server.asked = pages, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> str:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        assert "REQUIRE_TOOLS" not in os.environ, "no browser is installed"
        pytest.skip("no browser is installed; Debian has it in chromium")
    return program


@pytest.mark.parametrize("name", ["usual", "hostile"])
def test_page_fits_a_phone_and_asks_for_nothing(name: str, browser: str, tmp_path: Path) -> None:
    usual = summary(version(), version(4, aliases=("challenger",)), rules=(rule(),), decision="retrain")
    text = render(usual if name == "usual" else hostile(versions=2, features=30))
    home = "http://report.test"
    with serving({f"{home}/": FRAME % (PHONE, PHONE), f"{home}/page.html": text}) as server:
        proxy = f"--proxy-server=127.0.0.1:{server.server_port}"
        command = [
            browser,
            *OPTIONS,
            f"--user-data-dir={tmp_path}",
            proxy,
            "--window-size=800,900",
            "--dump-dom",
            f"{home}/",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    [shown] = re.findall(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    found = json.loads(unescape(shown))
    shades = found.pop("shades")  # at the sides of a table; what moves with the table covers them at its ends
    assert shades == ["local", "local", "scroll", "scroll"]
    assert found == {"width": PHONE, "wide": [], "headings": 4, "scripts": 0}
    assert "CONSOLE" not in done.stderr
    assert [path for path in server.asked if path.startswith(home)] == [f"{home}/", f"{home}/page.html"]
    assert [path for path in server.asked if not path.startswith(home) and not MAKER.search(path)] == []
