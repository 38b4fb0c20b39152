"""Renders pages and errors, and reads forms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.templating import Jinja2Templates

from dts_emulator.dashboard import links, text
from dts_emulator.dashboard.hub_adapter import HubAdapter
from dts_emulator.dashboard.models import STATUSES, ActionRefusedError
from dts_emulator.dashboard.progress import progress_of

DONE = {
    "suspend": "Suspend requested.",
    "resume": "Resume requested.",
    "terminate": "Terminate requested.",
    "rewind": "Rewind requested: the failed steps run again.",
    "restart": "Restarted: this is the new instance.",
    "purge": "Instance purged.",
    "raise_event": "Event sent.",
    "start": "Started: this is the new instance.",
    "signal": "Signal sent.",
    "pause_schedule": "Pause requested.",
    "resume_schedule": "Resume requested.",
    "delete": "Delete requested.",
}
"""The notice on the next page, by action."""

# An input of 1 MiB, percent-encoded with three bytes for each, and the other fields.
MAX_FORM_BYTES = 4 * 1024 * 1024
MAX_FIELDS = 20


class Renderer:
    """The task hubs and their templates; `read_only`: without actions."""

    def __init__(self, hubs: Mapping[str, HubAdapter], *, read_only: bool) -> None:
        self.hubs = hubs
        self.read_only = read_only
        self._templates = Jinja2Templates(env=_environment())

    def hub(self, request: Request) -> HubAdapter:
        """Return the task hub of a URL; HTTPException 404 if it does not exist."""
        name = request.path_params["hub"]
        if name not in self.hubs:
            raise HTTPException(404, f"There is no task hub {name}.")
        return self.hubs[name]

    def page(
        self, request: Request, template: str, status_code: int = 200, **context: object
    ) -> Response:
        """Render a page."""
        asked = request.query_params
        context |= {
            "now": datetime.now(timezone.utc),
            "notice": _notice(asked),
            "query": links.query_changer(asked),
            "read_only": self.read_only,
        }
        return self._templates.TemplateResponse(request, template, context, status_code)

    def error(self, request: Request, error: Exception) -> Response:
        """Show an error, as a page or as JSON."""
        assert isinstance(error, HTTPException)
        if wants_json(request) or request.url.path.endswith(".json"):
            return JSONResponse({"error": error.detail}, error.status_code)
        return self.page(request, "error.html", error.status_code, error=error)

    def unavailable(self, request: Request, error: Exception) -> Response:
        """Show that the state file cannot be read, as a page or as JSON."""
        return self.error(request, HTTPException(503, str(error)))


def _notice(asked: Mapping[str, str]) -> str | None:
    purged = asked.get("purged", "")
    if purged.isdecimal() and len(purged) < 10:
        return f"Purged {text.count(int(purged), 'instance')}, sub-orchestrations included."
    return DONE.get(asked.get("done", ""))


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form, the last value of each."""
    body = await body_of(request, MAX_FORM_BYTES)
    try:
        fields = parse_qs(
            body.decode(errors="replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise HTTPException(400, f"A form may have at most {MAX_FIELDS} fields.") from None
    return {name: values[-1] for name, values in fields.items()}


async def body_of(request: Request, limit: int) -> bytes:
    """Return the request body; HTTPException 413 if it exceeds `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise HTTPException(413, f"The request body has more than {limit:,} bytes.")
    return bytes(body)


def check_json(content: str, what: str) -> None:
    """Reject text that is neither JSON nor empty; `what` names it for the user."""
    try:
        json.loads(content or "null")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"{what} is not JSON: {error}.") from error


@contextmanager
def http_errors(what: str) -> Iterator[None]:
    """Convert a task hub's errors into error pages; `what` names the subject."""
    try:
        yield
    except KeyError:
        raise HTTPException(404, f"There is no {what}.") from None
    except ActionRefusedError as refusal:
        raise HTTPException(409, str(refusal)) from refusal


def wants_json(request: Request) -> bool:
    """Return whether the request comes from a script, not a browser."""
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


@cache
def _environment() -> Environment:
    """Return what all dashboards of a process share: it compiles each template once."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(text, name)
        for name in (
            "as_json",
            "short_label",
            "date_time",
            "count",
            "duration",
            "excerpt",
            "iso",
            "one_line",
        )
    }
    environment.filters |= {
        "time_of_day": text.time_of_day,
        "rate": text.rate,
        "axis_label": text.axis_label,
    }
    environment.globals |= {
        name: getattr(links, name) for name in dir(links) if name.endswith("_path")
    }
    environment.globals |= {"statuses": STATUSES, "progress_of": progress_of}
    return environment
