// Retries by the SDK, then a rewind, then restarts from outside.
import { RetryPolicy } from "@microsoft/durabletask-js";

import { client, ended, report, run, startWorker } from "./scheduler.mjs";

const calls = { fine: 0, flaky: 0 };

const fine = () => ++calls.fine;

function flaky() {
  if (++calls.flaky < 5) throw new Error(`failure ${calls.flaky}`);
  return "at last";
}

const retry = new RetryPolicy({ maxNumberOfAttempts: 2, firstRetryIntervalInMilliseconds: 10 });

async function* retrying(context) {
  yield context.callActivity("fine");
  try {
    yield context.callActivity("flaky", null, { retry });
  } catch (error) {
    return error.message;
  }
}

async function* child(context) {
  return yield context.callActivity("flaky");
}

async function* rewound(context) {
  const first = yield context.callActivity("fine");
  return [first, yield context.callSubOrchestrator(child)];
}

async function* echo(context, input) {
  return [input, yield context.waitForExternalEvent("go")];
}

await startWorker({ orchestrators: [retrying, rewound, child, echo], activities: [fine, flaky] });
const retried = await run(retrying);

const failed = await client.scheduleNewOrchestration(rewound);
const endings = [(await ended(failed)).status];
for (const reason of ["first try", "second try"]) {
  await client.rewindInstance(failed, reason);
  endings.push((await ended(failed)).status);
}

const original = await client.scheduleNewOrchestration(echo, "input");
await client.waitForOrchestrationStart(original);
const refused = await client.restartOrchestration(original).catch(() => "refused");
const copy = await client.restartOrchestration(original, true);
for (const id of [original, copy]) await client.raiseOrchestrationEvent(id, "go", id === copy);
report({
  retried: retried.status,
  endings,
  rewound: (await ended(failed)).output,
  calls,
  refused,
  restarted: [(await ended(original)).output, (await ended(copy)).output],
});
