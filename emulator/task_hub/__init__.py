"""One task hub: the SDK's in-memory backend, plus leases, timestamps, timers and limits.

The only room that touches the SDK's private names. What the backend does well is inherited
and called; what it lacks for a stand-in server is overridden, layer by layer: `instances`,
`families` (parents), `dispatch` (workers), `entities`, `hub` (clients and dashboard).
"""

from emulator.task_hub.hub import TaskHub

__all__ = ["TaskHub"]
