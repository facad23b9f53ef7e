"""A headless Chromium that tests drive through its DevTools protocol: real clicks, keys and downloads.

Messages go through a pipe (file descriptors 3 and 4 of the browser), so no port is opened and nothing is installed.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-pipe"
)
WAIT_S = 30.0
_START = (
    "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); os.execvp(sys.argv[3], sys.argv[3:])"
)
KEYS = {
    " ": ("Space", 32, " "),
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    "Tab": ("Tab", 9, ""),
    "End": ("End", 35, ""),
    "Home": ("Home", 36, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "Backspace": ("Backspace", 8, ""),
}


class Browser:
    """One browser process; each test opens pages of its own in it."""

    def __init__(self, program: str, profile: Path):
        ours_in, theirs_out = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in os.pipe())
        theirs_in, ours_out = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in os.pipe())
        start = [sys.executable, "-c", _START, str(theirs_in), str(theirs_out), program, *FLAGS.split()]
        self.process = subprocess.Popen(
            [*start, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out, self._rest, self._number = ours_in, ours_out, b"", 0
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        """End the browser."""
        self.call("Browser.close")
        self.process.wait(WAIT_S)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command; what happens meanwhile is added to `events`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read(WAIT_S)
            assert answer is not None, f"{method}: no answer within {WAIT_S:g} s"
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def read(self, wait_s: float) -> dict[str, Any] | None:
        """Return the next message; None when none comes in time."""
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], wait_s)[0]:
                return None
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        first, self._rest = self._rest.split(b"\0", 1)
        return json.loads(first)

    def open(self, page: Path, downloads: Path, width: int = 1280, height: int = 900) -> Page:
        """Return a new page with an empty storage, loaded from a file."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        behaviour = {"behavior": "allow", "downloadPath": str(downloads), "eventsEnabled": True}
        self.call("Browser.setDownloadBehavior", browserContextId=context, **behaviour)
        opened = Page(self, session, context, downloads)
        for domain in ("Page", "Runtime", "Network", "Log"):
            opened.call(f"{domain}.enable")
        opened.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        opened.go(page.as_uri())
        return opened


class Page:
    """One page of the browser."""

    def __init__(self, browser: Browser, session: str, context: str, downloads: Path):
        self.browser, self.session, self.context, self.downloads = browser, session, context, downloads

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command about this page."""
        return self.browser.call(method, self.session, **parameters)

    def events(self, *methods: str) -> list[dict[str, Any]]:
        """Return what happened on this page so far."""
        self.js("0")
        return [e for e in self.browser.events if e.get("sessionId") == self.session and e["method"] in methods]

    def go(self, address: str | None = None) -> None:
        """Load an address, or the same once more, and wait until it is there."""
        n_before = len(self.events("Page.loadEventFired"))
        self.call("Page.reload") if address is None else self.call("Page.navigate", url=address)
        wait_for(lambda: len(self.events("Page.loadEventFired")) > n_before, "the page to load")

    def js(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript (a promise is awaited)."""
        wanted = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        answer = self.call("Runtime.evaluate", expression=expression, **wanted)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """Return the text of an element as it is seen."""
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText.trim()")

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements that match and are seen."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})].filter((e) => e.checkVisibility())"
        return self.js(f"{found}.map((e) => e.innerText.trim())")

    def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of an element, which must not be covered by another."""
        place = self.js(f"""(() => {{
          const part = document.querySelector({json.dumps(selector)});
          part.scrollIntoView({{block: "center"}});
          const box = part.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
          const top = document.elementFromPoint(x, y);
          return part.contains(top) || top?.contains(part) ? [x, y] : `covered by ${{top?.outerHTML.slice(0, 200)}}`;
        }})()""")
        assert isinstance(place, list), f"{selector}: {place}"
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, *keys: str, modifiers: int = 0) -> None:
        """Press and release keys; `modifiers`: 2 is Ctrl, 8 is Shift."""
        for key in keys:
            code, number, text = KEYS.get(key) or ("Key" + key.upper(), ord(key.upper()), key)
            about = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
            down = about | ({"text": text} if text and not modifiers & 2 else {})
            self.call("Input.dispatchKeyEvent", type="keyDown" if "text" in down else "rawKeyDown", **down)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def write(self, selector: str, text: str) -> None:
        """Click into a field, empty it and type."""
        self.click(selector)
        self.js("document.activeElement.select?.()")
        self.press("Backspace")
        self.call("Input.insertText", text=text)

    def downloaded(self, name: str) -> bytes:
        """Return a file the page has saved, as soon as it is whole."""
        path = self.downloads / name
        wait_for(lambda: path.is_file() and not list(self.downloads.glob("*.crdownload")), f"the download of {name}")
        return path.read_bytes()

    def complaints(self) -> list[str]:
        """Return errors and warnings of the console, and everything that was asked of a network."""
        told = self.events("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        asked = [event["params"]["request"]["url"] for event in self.events("Network.requestWillBeSent")]
        asked = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
        return [json.dumps(event["params"]) for event in told] + asked

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Save a picture of what is seen, or of the whole page."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self) -> None:
        """Close the page and forget its storage."""
        self.call("Page.close")
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)


def wait_for(is_true: Any, what: str) -> None:
    """Return as soon as something is true."""
    until = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < until, f"waited {WAIT_S:g} s for {what}"
        time.sleep(0.02)
