"""A headless Chromium over its own debugging protocol: enough to open a page, run a line in it, and see what it did."""

import asyncio
import json
import shutil
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

_NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next((found for name in _NAMES if (found := shutil.which(name))), None)
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--remote-debugging-port=0")


class Tab:
    """One page. `said` are its errors and policy violations, `asked` the addresses that it asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0
        self.said, self.asked = [], []

    async def call(self, method, **params):
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        async for message in self._socket:
            found = json.loads(message.data)
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]
            self._note(found)
        raise AssertionError("the browser has gone")

    def _note(self, event) -> None:
        if event["method"] == "Network.requestWillBeSent":
            self.asked.append(event["params"]["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.said.append(event["params"]["exceptionDetails"]["text"])
        elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.said.append(event["params"]["entry"]["text"])

    async def run(self, line):
        """The value of a JavaScript expression; a promise is awaited."""
        found = await self.call("Runtime.evaluate", expression=line, awaitPromise=True, returnByValue=True)
        return found["result"].get("value")

    async def until(self, line):
        """Wait until an expression is true."""
        async with asyncio.timeout(5):
            while not await self.run(f"!!({line})"):  # noqa: ASYNC110  # another process, that tells nobody
                await asyncio.sleep(0.05)

    async def open(self, address):
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=address)


@asynccontextmanager
async def tab(folder: Path):
    """A tab of a browser of its own, whose profile lies in `folder`."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *_FLAGS, f"--user-data-dir={folder}", "about:blank", stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(15):
            while not (folder / "DevToolsActivePort").exists():  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.05)
        port = (folder / "DevToolsActivePort").read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                pages = [page for page in await answer.json(content_type=None) if page["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
