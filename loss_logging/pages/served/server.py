"""Serves the page of a run or a folder on 127.0.0.1, to requests with the token."""

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
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from loss_logging.captions.folder.kept_files import ConflictError, NotWrittenError
from loss_logging.errors import LossLoggingError
from loss_logging.pages.build import CAPTION_SUFFIXES
from loss_logging.pages.items import columns_of
from loss_logging.pages.served.editor import Change, Editor
from loss_logging.pages.served.guard import OwnPageOnly, TokenOnly
from loss_logging.pages.served.item_query import Filter, ItemQuery, QueryError
from loss_logging.pages.served.served_page import ServedPage
from loss_logging.reports.artifact import ReportError, spreadsheet_cell
from loss_logging.reports.export import exclude_lines
from loss_logging.support.thumbnails import NoThumbnailError, Thumbnail, existing, thumbnail

__all__ = ["serve", "serve_text"]

HOST = "127.0.0.1"
_MOST_NAMES = 1_000
_LARGE = 2_048
_MOST_CAPTION_BYTES = 1_000_000
_READ_ONLY = "This page is read-only: start loss-logging view with --edit to make changes."
_NO_ITEM = "There is no such item."
T = TypeVar("T", bound=msgspec.Struct)


class Viewer:
    """The web application of one run or folder.

    Args:
        shown: the page.
        token: the secret that requests need.
        images: the folder of the images; no file outside it is opened. None means the recorded paths.
        editor: the editor that makes changes; None for a read-only page.
    """

    def __init__(self, shown: ServedPage, token: str, images: Path | None = None, editor: Editor | None = None) -> None:
        self._shown = shown
        self._items = shown.items
        self._editor = editor
        self._images = images
        self._thumbnail = lru_cache(maxsize=2_048)(lambda path, pixels: thumbnail(path, pixels=pixels, folder=images))
        routes: dict[str, Callable[[Request], Response]] = {
            "/": self._page,
            "/api/state": self._state,
            "/api/charts": self._charts,
            "/api/about": self._about,
            "/api/items": self._rows,
            "/api/item": self._item,
            "/api/history": self._history,
            "/api/queue": self._queue,
            "/api/edited": self._edited,
            "/api/parts": self._parts,
            "/file": self._file,
            "/image": self._image,
            "/items.csv": self._csv,
            "/exclude.txt": self._exclude_list,
        }
        self.app = Starlette(
            routes=[
                *(Route(path, answer, methods=["GET"]) for path, answer in routes.items()),
                Route("/api/change", self._change, methods=["POST"]),
            ],
            middleware=_guards(token),
            exception_handlers={QueryError: _refuse, duckdb.Error: _trouble, ReportError: _trouble},
        )

    def _page(self, _: Request) -> Response:
        return Response(self._shown.html(_picture, editable=self._editor is not None), media_type="text/html")

    def _parts(self, request: Request) -> Response:
        """The parts of the page that change with the save step."""
        return _json(self._shown.parts(_picture, _step(request)))

    def _state(self, _: Request) -> Response:
        return _json(self._items.sign())

    def _charts(self, _: Request) -> Response:
        return _json(self._shown.charts())

    def _about(self, request: Request) -> Response:
        """The columns, datasets and rules of the table."""
        step = _step(request)
        rules = self._shown.rules(step)
        columns = columns_of(self._items.columns(step))
        datasets = self._items.datasets(_MOST_NAMES)
        return _json({"columns": columns, "datasets": datasets, "reasons": sorted(rules), "rules": rules})

    def _rows(self, request: Request) -> Response:
        rows, total = self._items.page(_asked(request, ItemQuery), _step(request))
        return _json({"rows": rows, "total": total})

    def _item(self, request: Request) -> Response:
        return _json(self._items.item(*_named(request), _step(request)))

    def _history(self, request: Request) -> Response:
        return _json(self._shown.history(*_named(request)))

    def _queue(self, _: Request) -> Response:
        """The items to look at, highest severity first, each with the decision about it."""
        decided = {} if self._editor is None else self._editor.decisions.all()
        keys = list(dict.fromkeys(self._shown.queue()))
        return _json({"queue": keys, "decided": [[*key, decision] for key, decision in decided.items()]})

    def _edited(self, request: Request) -> Response:
        """An item with its caption on disk, for editing."""
        if self._editor is None:
            return PlainTextResponse(_READ_ONLY, status_code=403)
        dataset, path = _named(request)
        if not self._items.names(path):
            return PlainTextResponse(_NO_ITEM, status_code=404)
        return _json(self._editor.about(dataset, path))

    async def _change(self, request: Request) -> Response:
        """Make a person's change. Status 409 if the page shows an outdated state, 422 if the change is impossible."""
        if self._editor is None:
            return PlainTextResponse(_READ_ONLY, status_code=403)
        try:
            asked = msgspec.json.decode(await request.body(), type=Change)
        except (msgspec.DecodeError, UnicodeError) as error:
            return PlainTextResponse(str(error), status_code=400)
        return await run_in_threadpool(self._changed, self._editor, asked)

    def _changed(self, editor: Editor, asked: Change) -> Response:
        if not self._items.names(asked.path):
            return PlainTextResponse(_NO_ITEM, status_code=404)
        try:
            return _json(editor.change(asked))
        except ConflictError as error:
            return _json({"problem": str(error)} | editor.about(asked.dataset, asked.path), 409)
        except NotWrittenError as error:
            return _json({"problem": str(error)}, 422)

    def _image(self, request: Request) -> Response:
        """The picture, or a text with the reason why there is none; that is no error for the browser's console."""
        path = request.query_params.get("path", "")
        try:
            if not self._items.names(path):
                raise NoThumbnailError("no record names this file")
            data = self._thumbnail(path, 512 if request.query_params.get("pixels") == "512" else 256)
        except NoThumbnailError as error:
            return PlainTextResponse(str(error))
        return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=60"})

    def _file(self, request: Request) -> Response:
        """The full image of an item, or the text of the caption file beside it."""
        path = request.query_params.get("path", "")
        try:
            if not self._items.names(path):
                raise NoThumbnailError("no record names this file")
            if request.query_params.get("kind") != "caption":
                return Response(thumbnail(path, pixels=_LARGE, folder=self._images), media_type="image/webp")
            return PlainTextResponse(_caption_beside(path, self._images))
        except NoThumbnailError as error:
            return PlainTextResponse(str(error), status_code=404)

    def _csv(self, request: Request) -> Response:
        return _download(
            _csv_lines(self._items.batches(_asked(request, Filter), _step(request))), "items.csv", "text/csv"
        )

    def _exclude_list(self, request: Request) -> Response:
        batches = self._items.batches(_asked(request, Filter), _step(request))
        return _download(_exclude_parts(batches), "exclude.txt", "text/plain")


def serve(
    shown: ServedPage,
    *,
    port: int = 0,
    images: Path | None = None,
    editor: Editor | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve until interrupted.

    Args:
        port: the port; 0 takes any free port.
        shown, images, editor: see `Viewer`.
        announce: a function that is called with the address, including the token, as soon as it can be opened.

    Raises:
        LossLoggingError: the port is in use.
    """
    with shown:
        _serve(lambda token: Viewer(shown, token, images, editor).app, port, announce)


def serve_text(page: str, *, port: int = 0, announce: Callable[[str], None]) -> None:
    """Serve one page that does not change; the arguments are those of `serve`."""

    def answer(_: Request) -> Response:
        return Response(page, media_type="text/html")

    _serve(lambda token: Starlette(routes=[Route("/", answer)], middleware=_guards(token)), port, announce)


def _guards(token: str) -> list[Middleware]:
    return [
        # Another site that lets its name point to 127.0.0.1 is refused by the name.
        Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
        Middleware(TokenOnly, token=token),
        Middleware(OwnPageOnly),
        Middleware(GZipMiddleware),
    ]


def _serve(application: Callable[[str], Starlette], port: int, announce: Callable[[str], None]) -> None:
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
        application(token),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
    )
    with listener:
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
    """The save step in a request; None means the present."""
    text = request.query_params.get("step", "")
    if text and not text.isdecimal():
        raise QueryError(f"step is {text[:40]!r}; allowed: the number of a save step")
    return int(text) if text else None


def _picture(path: str) -> Thumbnail:
    return Thumbnail(f"image?pixels=256&path={quote(path, safe='')}")


def _caption_beside(path: str, images: Path | None) -> str:
    """The text of the caption file of an image."""
    image = existing(path, images)
    for file in (image.with_suffix(suffix) for suffix in CAPTION_SUFFIXES):
        if file.is_file() and file.resolve().parent == image.parent:
            with file.open("rb") as opened:
                return opened.read(_MOST_CAPTION_BYTES).decode("utf-8", "replace")
    raise NoThumbnailError(f"no caption file beside {image}: looked for {', '.join(CAPTION_SUFFIXES)}")


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _refuse(_: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), status_code=400)


def _trouble(_: Request, error: Exception) -> Response:
    """The answer for a shard that is damaged, or was compacted during reading; the next request may succeed."""
    return PlainTextResponse(str(error), status_code=503)


def _download(lines: Iterable[str], name: str, kind: str) -> Response:
    return StreamingResponse(lines, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _exclude_parts(batches: Iterable[Any]) -> Iterator[str]:
    seen = set[str]()  # an image may be in several datasets
    for batch in batches:
        new = [path for path in batch["path"].to_pylist() if path not in seen]
        seen.update(new)
        yield "".join(exclude_lines(new))


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
