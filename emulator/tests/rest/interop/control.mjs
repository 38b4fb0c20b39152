// Suspend, resume and terminate, from outside.
import { terminateOptions } from "@microsoft/durabletask-js";

import { client, ended, report, run, startWorker, statusOf, until } from "./scheduler.mjs";

async function* waiting(context) {
  return yield context.waitForExternalEvent("go");
}

async function quick() {}

async function* family(context) {
  yield context.callSubOrchestrator(waiting, null, { instanceId: `${context.instanceId}-child` });
}

const becomes = (id, status) => until(async () => (await statusOf(id)) === status, `${id} is ${status}`);

await startWorker({ orchestrators: [waiting, family, quick] });

const paused = await client.scheduleNewOrchestration(waiting);
await becomes(paused, "RUNNING");
await client.suspendOrchestration(paused);
await becomes(paused, "SUSPENDED");
await client.raiseOrchestrationEvent(paused, "go", "held back");
await run(quick);
const aRunLater = await statusOf(paused);
await client.resumeOrchestration(paused);

const parent = await client.scheduleNewOrchestration(family);
await becomes(`${parent}-child`, "RUNNING");
await client.terminateOrchestration(parent, terminateOptions({ output: { why: "enough" }, recursive: true }));

report({
  aRunLater,
  resumed: await ended(paused),
  parent: await ended(parent),
  child: (await ended(`${parent}-child`)).status,
});
