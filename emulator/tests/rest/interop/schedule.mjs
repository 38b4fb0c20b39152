// Usage: node schedule.mjs NAME INPUT
// A client of somebody else's worker: schedules the orchestration NAME with INPUT, which is JSON.
import { report, run } from "./scheduler.mjs";

const [name, input] = process.argv.slice(2);
report(await run(name, JSON.parse(input)));
