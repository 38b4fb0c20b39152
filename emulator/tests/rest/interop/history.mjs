// The history of an activity, then a timer, then a sub-orchestration.
import { client, ended, report, startWorker } from "./scheduler.mjs";

const greet = (_, name) => `Hello, ${name}!`;

async function child() {
  return "done";
}

async function* steps(context) {
  yield context.callActivity("greet", "World");
  yield context.createTimer(0.01);
  yield context.callSubOrchestrator(child);
}

await startWorker({ orchestrators: [steps, child], activities: [greet] });
const id = await client.scheduleNewOrchestration(steps);
await ended(id);
const history = await client.getOrchestrationHistory(id);
report(history.map(({ type }) => type));
