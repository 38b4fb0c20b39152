// Timers, whose times this SDK cuts to milliseconds, and a timer that an event overtakes.
import { whenAny } from "@microsoft/durabletask-js";

import { client, ended, report, run, startWorker } from "./scheduler.mjs";

async function* sleepOften(context, times) {
  let early = 0;
  for (let n = 0; n < times; n++) {
    const fireAt = new Date(context.currentUtcDateTime.getTime() + 5);
    yield context.createTimer(fireAt);
    if (context.currentUtcDateTime < fireAt) early++;
  }
  return { times, early };
}

async function* approval(context) {
  const approved = context.waitForExternalEvent("approve");
  const winner = yield whenAny([approved, context.createTimer(3600)]);
  return winner === approved ? "approved" : "too late";
}

await startWorker({ orchestrators: [sleepOften, approval] });
const id = await client.scheduleNewOrchestration(approval);
await client.raiseOrchestrationEvent(id, "approve");
report({ sleeper: await run(sleepOften, 20), approval: await ended(id) });
