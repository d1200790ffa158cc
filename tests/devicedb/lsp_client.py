"""A small client of the language server: JSON-RPC over pipes, as an editor speaks it."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 150.0


class LanguageClient:
    """Starts `devicedb lsp` and speaks to it.

    Attributes:
        diagnostics: What the server has said of each file last, by path.

    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        encodings: list[str] | None = None,
        initialize: bool = True,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devicedb", "lsp", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
        )
        self.diagnostics: dict[str, dict[str, Any]] = {}
        self.others: list[dict[str, Any]] = []
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._number = 0
        self._versions: dict[str, int] = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if initialize:
            general = {"positionEncodings": encodings} if encodings else {}
            self.capabilities = self.request(
                "initialize",
                {"processId": None, "rootUri": folder.as_uri(), "capabilities": {"general": general}},
            )["capabilities"]
            self.notify("initialized", {})

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while header := stream.readline():
            length = 0
            while header.strip():
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                header = stream.readline()
            self._messages.put(json.loads(stream.read(length)))
        self._messages.put(None)

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def notify(self, method: str, parameters: object) -> None:
        self.send({"method": method, "params": parameters})

    def request(self, method: str, parameters: object) -> Any:
        self._number += 1
        self.send({"id": self._number, "method": method, "params": parameters})
        while (message := self.next()).get("id") != self._number:
            continue
        assert "error" not in message, message
        return message["result"]

    def next(self) -> dict[str, Any]:
        """Return the next message of the server; diagnostics are noted."""
        message = self._messages.get(timeout=SECONDS)
        assert message is not None, "the server has ended"
        if message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]
        elif "method" in message:
            self.others.append(message)
        return message

    def open(self, path: Path, text: str) -> None:
        self._versions[path.as_uri()] = 1
        document = {"uri": path.as_uri(), "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, path: Path, text: str) -> None:
        uri = path.as_uri()
        self._versions[uri] += 1
        document = {"uri": uri, "version": self._versions[uri]}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})

    def close(self, path: Path) -> None:
        del self._versions[path.as_uri()]
        self.notify("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})

    def codes(self, path: Path) -> list[str]:
        """Codes that are shown in a file."""
        found = self.diagnostics.get(path.as_uri(), {"diagnostics": []})["diagnostics"]
        return [str(each.get("code", each["message"])) for each in found]

    def wait(self, path: Path, condition: Callable[[list[str]], bool]) -> None:
        """Read messages until the codes of the newest text of a file meet a condition."""
        while True:
            known = self.diagnostics.get(path.as_uri())
            newest = self._versions.get(path.as_uri())
            if known is not None and known.get("version") == newest and condition(self.codes(path)):
                return
            self.next()

    def at(self, method: str, path: Path, line: int, character: int, **more: object) -> Any:
        """Ask about a position, both numbers from 0."""
        where = {"line": line, "character": character}
        return self.request(
            f"textDocument/{method}", {"textDocument": {"uri": path.as_uri()}, "position": where, **more}
        )

    def shut_down(self) -> int:
        """End the server as editors do; return its exit status."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.gone()

    def hang_up(self) -> int:
        """Close the server's standard input; return its exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.gone()

    def gone(self) -> int:
        """Wait for the end of the server and return its exit status."""
        status = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return status
