"""Where a run can be seen."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from scheduler import Scheduler

# The default of both emulators. One that listens elsewhere says where when it starts.
DASHBOARD_PORT = 8082


def page_of(target: Scheduler, instance_id: str) -> str | None:
    """Return the address of an instance's page on an emulator's dashboard, None for Azure.

    The Docker emulator's dashboard has this path, and the stand-in knows it too.
    """
    if target.is_secure:
        return None
    host = urlsplit(target.endpoint).hostname or "localhost"
    if ":" in host:
        host = f"[{host}]"
    hub, instance = quote(target.task_hub, safe=""), quote(instance_id, safe="")
    return (
        f"http://{host}:{DASHBOARD_PORT}/subscriptions/local/schedulers/emulator"
        f"/taskhubs/{hub}/orchestrations/{instance}"
    )
