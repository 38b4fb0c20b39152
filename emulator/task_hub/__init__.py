"""One task hub: the SDK's in-memory backend, plus leases, timestamps, timers and limits.

The only room that touches the SDK's private names. What the backend does well is inherited
and called; what it lacks for a stand-in server is overridden, in three layers: `instances`
(what happens to them, and when), `dispatch` (what workers get and give back) and `hub`
(what clients and the dashboard ask).
"""

from emulator.task_hub.hub import TaskHub

__all__ = ["TaskHub"]
