"""What every page needs: the task hubs, the templates, and how errors are shown."""

from __future__ import annotations

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
from dts_emulator.dashboard.models import STATUSES, ActionRefusedError, HubView
from dts_emulator.dashboard.progress import progress_of

DONE = {
    "suspend": "Asked to suspend.",
    "resume": "Asked to resume.",
    "terminate": "Asked to terminate.",
    "rewind": "Asked to rewind: the failed steps run again.",
    "restart": "Restarted: this is the new instance.",
    "purge": "The instance is purged.",
    "raise_event": "The event is sent.",
    "start": "Started: this is the new instance.",
    "signal": "The signal is sent.",
    "pause_schedule": "Asked to pause the schedule.",
    "resume_schedule": "Asked to resume the schedule.",
    "delete": "Asked to delete the schedule.",
}
"""Each action, with what the next page says once it is done."""

# An input of 1 MiB, with three bytes for each as forms write what is no letter, and the rest.
MAX_FORM_BYTES = 4 * 1024 * 1024
MAX_FIELDS = 20


class Renderer:
    """The task hubs and the templates that show them; `read_only`: without any action."""

    def __init__(self, hubs: Mapping[str, HubView], *, read_only: bool) -> None:
        self.hubs = hubs
        self.read_only = read_only
        self._templates = Jinja2Templates(env=_environment())

    def hub(self, request: Request) -> HubView:
        """Return the task hub that an address names; HTTPException 404 if there is none."""
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
        """Say what is wrong, as a page or as JSON."""
        assert isinstance(error, HTTPException)
        if wants_json(request) or request.url.path.endswith(".json"):
            return JSONResponse({"error": error.detail}, error.status_code)
        return self.page(request, "error.html", error.status_code, error=error)

    def unavailable(self, request: Request, error: Exception) -> Response:
        """Say that the state file cannot be read, as a page or as JSON."""
        return self.error(request, HTTPException(503, str(error)))


def _notice(asked: Mapping[str, str]) -> str | None:
    purged = asked.get("purged", "")
    if purged.isdecimal() and len(purged) < 10:
        return f"Purged {text.count(int(purged), 'instance')}, sub-orchestrations included."
    return DONE.get(asked.get("done", ""))


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form that was sent, the last value of each."""
    body = await body_of(request, MAX_FORM_BYTES)
    try:
        fields = parse_qs(
            body.decode(errors="replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise HTTPException(400, f"A form may have at most {MAX_FIELDS} fields.") from None
    return {name: values[-1] for name, values in fields.items()}


async def body_of(request: Request, limit: int) -> bytes:
    """Return what was sent; HTTPException 413 where that is more than `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise HTTPException(413, f"What is sent may have at most {limit:,} bytes.")
    return bytes(body)


@contextmanager
def http_errors(what: str) -> Iterator[None]:
    """Turn what a task hub refuses into an error page; `what` is the thing acted upon."""
    try:
        yield
    except KeyError:
        raise HTTPException(404, f"There is no {what}.") from None
    except ActionRefusedError as refusal:
        raise HTTPException(409, str(refusal)) from refusal


def wants_json(request: Request) -> bool:
    """Return whether a script asks, not a browser."""
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
