"""The pages that show a downloaded history: to open one, and to read it."""

from __future__ import annotations

from datetime import datetime, timezone

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dts_emulator.dashboard.failed import steps_of_detail
from dts_emulator.dashboard.history_files import LARGEST_BYTES, HistoryFiles, uploaded
from dts_emulator.dashboard.instance_page import InstancePage
from dts_emulator.dashboard.renderer import Renderer, body_of


class FilePages:
    """Opens histories that were downloaded. Nothing in a task hub changes by that."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._files = HistoryFiles()

    def choose(self, request: Request) -> Response:
        """Show the form for a file."""
        return self._renderer.page(request, "choose_file.html")

    async def open(self, request: Request) -> Response:
        """Open a file and redirect to its page."""
        body = await body_of(request, LARGEST_BYTES)
        content = uploaded(request.headers.get("content-type", ""), body)
        try:
            key = await run_in_threadpool(self._files.open, content)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return RedirectResponse(f"/history/{key}", status_code=303)

    def show(self, request: Request) -> Response:
        """Show a file's history as an instance's page, without actions."""
        detail = self._files.find(request.path_params["key"])
        if detail is None:
            raise HTTPException(404, "This history is no longer open. Open its file again.")
        page = InstancePage(
            detail,
            steps_of_detail(detail),
            request.query_params,
            datetime.now(timezone.utc),
            is_file=True,
        )
        return self._renderer.page(request, "instance.html", hub=None, page=page, actions=[])
