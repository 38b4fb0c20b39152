"""Thousands of calls in the same moment."""

from __future__ import annotations

import asyncio

from durabletask.azuremanaged.client import AsyncDurableTaskSchedulerClient

from dts_emulator import Emulator

# gRPC's own limit, from which on it cancels every call, is 3,000.
CALLS = 5000


def test_every_one_of_thousands_of_calls_is_answered(emulator: Emulator) -> None:
    async def call_all() -> list[object]:
        async with AsyncDurableTaskSchedulerClient(
            host_address=emulator.endpoint,
            taskhub="default",
            token_credential=None,
            secure_channel=False,
        ) as client:
            calls = (client.get_orchestration_state(f"nobody-{n}") for n in range(CALLS))
            return list(await asyncio.gather(*calls, return_exceptions=True))

    assert asyncio.run(call_all()) == [None] * CALLS
