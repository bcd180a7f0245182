"""The report page over the whole log, on 127.0.0.1 and for whoever has the token."""

from __future__ import annotations

import csv
import io
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import duckdb
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from loss_logging.errors import LossLoggingError
from loss_logging.pages.build import CAPTION_SUFFIXES, MOST_RECORDS
from loss_logging.pages.charts import charts, history_block
from loss_logging.pages.content import rules_of, sections
from loss_logging.pages.items import columns_of
from loss_logging.pages.render import fragments, render
from loss_logging.pages.served.item_query import Filter, ItemQuery, QueryError
from loss_logging.pages.served.live import LiveRun
from loss_logging.reports.artifact import ReportError, spreadsheet_cell
from loss_logging.statistics.history import item_history
from loss_logging.support.thumbnails import NoThumbnailError, Thumbnail, existing, thumbnail

__all__ = ["Viewer", "serve"]

HOST = "127.0.0.1"
_MOST_NAMES = 1_000
_LARGE = 2_048
_MOST_CAPTION_BYTES = 1_000_000
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
T = TypeVar("T", bound=msgspec.Struct)


class Viewer:
    """The application that answers for one run.

    Args:
        run: what to show.
        token: who has it may look.
        images: where the images are; nothing outside it is opened then. None stands for the paths as recorded.
    """

    def __init__(self, run: LiveRun, token: str, images: Path | None = None) -> None:
        self._run = run
        self._images = images
        self._thumbnail = lru_cache(maxsize=2_048)(lambda path, pixels: thumbnail(path, pixels=pixels, folder=images))
        routes: dict[str, Callable[[Request], Response]] = {
            "/": self._page,
            "/api/state": self._state,
            "/api/charts": self._charts,
            "/api/about": self._about,
            "/api/items": self._items,
            "/api/item": self._item,
            "/api/history": self._history,
            "/api/parts": self._parts,
            "/file": self._file,
            "/image": self._image,
            "/items.csv": self._csv,
            "/exclude.txt": self._exclude_list,
        }
        self.app = Starlette(
            routes=[Route(path, answer, methods=["GET"]) for path, answer in routes.items()],
            middleware=[
                # Another site that lets its name point to 127.0.0.1 is refused by the name.
                Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
                Middleware(_TokenOnly, token=token),
                Middleware(GZipMiddleware),
            ],
            exception_handlers={QueryError: _refuse, duckdb.Error: _trouble, ReportError: _trouble},
        )

    def _page(self, _: Request) -> Response:
        run = self._run
        report, counts = run.report()
        page = render(
            [*run.reports[:-1], report] if report else [],
            _picture,
            run.problems,
            {},
            config=run.config,
            total=run.state.items or 0,
            items_shown=run.state.items or 0,
            served=True,
            busy=run.state.busy,
            counts=counts,
            live_step=run.state.step,
        )
        return Response(page, media_type="text/html")

    def _parts(self, request: Request) -> Response:
        """What changes on the page with the save step."""
        run, step = self._run, _step(request)
        report, counts = run.report(step)
        found = sections(report, _picture, counts)
        total = run.state.items if step is None else counts.items if counts else None
        live = run.state.step if step is None else None
        problems = run.problems if step is None else []
        save_steps = len(run.reports)
        parts = fragments(found, total=total, save_steps=save_steps, problems=problems, served=True, live_step=live)
        note = None
        if step is not None and counts is None:
            note = [f"The report of step {step:,} holds no items: the table has none to show."]
        return _json({"parts": parts, "note": note})

    def _state(self, _: Request) -> Response:
        return _json(self._run.sign())

    def _charts(self, _: Request) -> Response:
        return _json(charts(self._run.reports, self._run.curves()))

    def _about(self, request: Request) -> Response:
        """What the table has: columns, datasets, reasons."""
        step = _step(request)
        report = next((r for r in reversed(self._run.reports) if step is None or r.job.step == step), None)
        rules = rules_of(report) if report else {}
        columns = columns_of(self._run.columns(step))
        datasets = self._run.datasets(_MOST_NAMES)
        return _json({"columns": columns, "datasets": datasets, "reasons": sorted(rules), "rules": rules})

    def _items(self, request: Request) -> Response:
        rows, total = self._run.page(_asked(request, ItemQuery), _step(request))
        return _json({"rows": rows, "total": total})

    def _item(self, request: Request) -> Response:
        return _json(self._run.item(*_named(request), _step(request)))

    def _history(self, request: Request) -> Response:
        dataset, path = _named(request)
        records = item_history(self._run.log, [(dataset, path)], MOST_RECORDS, threads=self._run.config.threads)
        return _json(history_block(records).get(dataset, {}).get(path))

    def _image(self, request: Request) -> Response:
        """The picture, or as text why there is none: an answer too, and no error for the browser's console."""
        path = request.query_params.get("path", "")
        try:
            if not self._run.names(path):
                raise NoThumbnailError("no record names this file")
            data = self._thumbnail(path, 512 if request.query_params.get("pixels") == "512" else 256)
        except NoThumbnailError as error:
            return PlainTextResponse(str(error))
        return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=60"})

    def _file(self, request: Request) -> Response:
        """The image of an item, large, or the text of the caption file beside it."""
        path = request.query_params.get("path", "")
        try:
            if not self._run.names(path):
                raise NoThumbnailError("no record names this file")
            if request.query_params.get("kind") != "caption":
                return Response(thumbnail(path, pixels=_LARGE, folder=self._images), media_type="image/webp")
            return PlainTextResponse(_caption_beside(path, self._images))
        except NoThumbnailError as error:
            return PlainTextResponse(str(error), status_code=404)

    def _csv(self, request: Request) -> Response:
        return _download(
            _csv_lines(self._run.batches(_asked(request, Filter), _step(request))), "items.csv", "text/csv"
        )

    def _exclude_list(self, request: Request) -> Response:
        batches = self._run.batches(_asked(request, Filter), _step(request))
        # A path with a line break would be read as two.
        lines = (
            "".join(f"{path}\n" for path in batch["path"].to_pylist() if not {"\n", "\r"} & set(path))
            for batch in batches
        )
        return _download(lines, "exclude.txt", "text/plain")


class _TokenOnly:
    """Lets nobody in without the token: in the address once, in a cookie from then on."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        cookie = f"loss_logging-{request.url.port}"  # cookies know hosts, not ports: two of these run side by side
        given = request.query_params.get("token", "")
        answer: ASGIApp
        if secrets.compare_digest(given.encode(), self._token.encode()):
            answer = RedirectResponse(request.url.path, status_code=303)
            answer.set_cookie(cookie, self._token, httponly=True, samesite="strict")
        elif secrets.compare_digest(request.cookies.get(cookie, "").encode(), self._token.encode()):
            answer = self._app
        else:
            text = "Open the address that loss-logging view printed when it was started; it holds the key to this page."
            answer = PlainTextResponse(text, status_code=403)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in there)]
            await send(message)

        await answer(scope, receive, with_headers)


def serve(run: LiveRun, *, port: int = 0, images: Path | None = None, announce: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        run: what to show.
        port: 0 takes any free one.
        images: see `Viewer`.
        announce: called with the address, token included, as soon as it can be opened.

    Raises:
        LossLoggingError: the port is taken.
    """
    token = secrets.token_urlsafe(24)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise LossLoggingError(
            f"port {port} cannot be used ({error.strerror}); give another --port, or 0 for any"
        ) from error
    config = uvicorn.Config(
        Viewer(run, token, images).app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
    )
    with run, listener:
        announce(f"http://{HOST}:{listener.getsockname()[1]}/?token={token}")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _asked(request: Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(request.query_params.get("q", "{}"), type=kind)
    except msgspec.DecodeError as error:
        raise QueryError(f"q: {error}") from error


def _named(request: Request) -> tuple[str, str]:
    return request.query_params.get("dataset", ""), request.query_params.get("path", "")


def _step(request: Request) -> int | None:
    """The save step that is asked about; None stands for now."""
    text = request.query_params.get("step", "")
    if text and not text.isdecimal():
        raise QueryError(f"step is {text[:40]!r}; allowed: a save step")
    return int(text) if text else None


def _picture(path: str) -> Thumbnail:
    return Thumbnail(f"image?pixels=256&path={quote(path, safe='')}")


def _caption_beside(path: str, images: Path | None) -> str:
    """The text of the file with the caption of an image."""
    image = existing(path, images)
    for file in (image.with_suffix(suffix) for suffix in CAPTION_SUFFIXES):
        if file.is_file() and file.resolve().parent == image.parent:
            with file.open("rb") as opened:
                return opened.read(_MOST_CAPTION_BYTES).decode("utf-8", "replace")
    raise NoThumbnailError(f"no caption file beside {image}: looked for {', '.join(CAPTION_SUFFIXES)}")


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")


def _refuse(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), status_code=400)


def _trouble(_: Request, error: Exception) -> Response:
    """A shard that was compacted while it was read, or a damaged one: the page says it, and the next try may do."""
    return PlainTextResponse(str(error), status_code=503)


def _download(lines: Iterable[str], name: str, kind: str) -> Response:
    return StreamingResponse(lines, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _csv_lines(batches: Iterable[Any]) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out)
    for i, batch in enumerate(batches):
        if i == 0:
            writer.writerow(batch.schema.names)
        writer.writerows(
            zip(*([spreadsheet_cell(v) for v in column.to_pylist()] for column in batch.columns), strict=True)
        )
        yield out.getvalue()
        out.seek(0)
        out.truncate()
