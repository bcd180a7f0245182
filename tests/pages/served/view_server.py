"""A real ``loss-logging view`` in a process of its own, and a client of it."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from waiting import wait_until
from warm import without_torch

__all__ = ["Answer", "Server"]


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


_VIEW = "from loss_logging.cli import main; main()"
_EAGER = f"from loss_logging.pages.served import live; live._LOOK_SECONDS, live._SHARE = 0.1, 0.5; {_VIEW}"


class Server:
    """``loss-logging view`` of a folder, and a client that has its token.

    Args:
        root: the folder.
        options: more of the command line.
        eager: look at the log every tenth of a second, not every two seconds and more.
    """

    def __init__(self, root: Path, *options: str, eager: bool = False) -> None:
        command = ("view", str(root), "--memory-limit", "512MB", *options)
        self.process = without_torch().start(_EAGER if eager else _VIEW, *command)
        said = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", said)
        assert found, said + self.stop()[1]
        self.address, self.port, self.token = found[0], int(found[1]), found[2]

    def ask(
        self,
        target: str,
        *,
        cookie: str | None = None,
        host: str = "",
        method: str = "GET",
        body: bytes | None = None,
        sent: dict[str, str] | None = None,
        **values: Any,
    ) -> Answer:
        headers = {"Cookie": f"loss_logging-{self.port}={self.token if cookie is None else cookie}"} | (sent or {})
        target = f"{target}?{urlencode(values)}" if values else target
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.request(method, target, body, headers=headers | ({"Host": host} if host else {}))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def json(self, target: str, **values: Any) -> Any:
        answer = self.ask(target, **values)
        assert answer.status == 200, answer.text
        return json.loads(answer.text)

    def items(self, **asked: Any) -> Any:
        return self.json("/api/items", q=json.dumps(asked))

    def until(self, condition: Callable[[Any], bool]) -> Any:
        """The state as soon as it is so."""

        def state() -> Any:
            found = self.json("/api/state")
            return found if condition(found) else None

        return wait_until(state, every=0.05)

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=120)
        return self.process.wait(), err
