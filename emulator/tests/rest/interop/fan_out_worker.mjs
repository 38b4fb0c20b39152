// The quickstart's workflow in JavaScript, for somebody else's client.
import { whenAll } from "@microsoft/durabletask-js";

import { startWorker } from "./scheduler.mjs";

async function* fan_out_fan_in_orchestrator(context, items) {
  const tasks = items.map((item) => context.callActivity(process_work_item, item));
  const results = yield whenAll(tasks);
  return yield context.callActivity(aggregate_results, results);
}

function process_work_item(_, item) {
  return { item, result: item * item };
}

function aggregate_results(_, results) {
  const sum = results.reduce((total, { result }) => total + result, 0);
  return { total_items: results.length, sum, average: sum / results.length };
}

await startWorker({
  orchestrators: [fan_out_fan_in_orchestrator],
  activities: [process_work_item, aggregate_results],
});
console.log(JSON.stringify({ started: true }));
