// External events: sent before the orchestration waits for them, and by another orchestration.
import { client, ended, report, run, startWorker, until } from "./scheduler.mjs";

async function* collect(context) {
  const received = [];
  for (const name of ["first", "second", "second"]) {
    received.push(yield context.waitForExternalEvent(name));
    context.setCustomStatus(received.length);
  }
  return received;
}

async function* send(context, to) {
  context.sendEvent(to, "second", { from: "orchestration" });
  return "sent";
}

const id = await client.scheduleNewOrchestration(collect);
await client.raiseOrchestrationEvent(id, "second", "early");
await client.raiseOrchestrationEvent(id, "first", [1, 2]);
await startWorker({ orchestrators: [collect, send] });
const received = async () => (await client.getOrchestrationState(id)).serializedCustomStatus === "2";
await until(received, "two events received");
report({ sender: await run(send, id), receiver: await ended(id) });
