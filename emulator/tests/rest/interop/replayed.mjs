// A worker whose orchestrator is the recorded one, or a changed one, for the replay checks.
import { whenAll } from "@microsoft/durabletask-js";

import { startWorker } from "./scheduler.mjs";

const [variant] = process.argv.slice(2);

async function* trip(context, cities) {
  const booked = yield whenAll(cities.map((city) => context.callActivity(book, city)));
  yield context.createTimer(60);
  const hotel = yield context.callSubOrchestrator(stay, variant === "input" ? "Oslo" : cities[0]);
  const answer = yield context.waitForExternalEvent("answer");
  if (variant === "early") return booked;
  yield context.callActivity(pay, { booked, hotel, answer });
  return { booked, hotel };
}

async function* stay(context, city) {
  return yield context.callActivity(book, city);
}

const book = (_, city) => `b-${city}`;
const pay = () => 1.0;

await startWorker({ orchestrators: variant === "none" ? [] : [trip, stay], activities: [book, pay] });
console.log(JSON.stringify({ started: true }));
