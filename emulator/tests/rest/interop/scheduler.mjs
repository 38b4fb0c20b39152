// The scheduler that ENDPOINT and TASKHUB name, and what the programs beside this file share.
import { randomUUID } from "node:crypto";

import grpc from "@grpc/grpc-js";
import { OrchestrationStatus, TaskHubGrpcClient, TaskHubGrpcWorker } from "@microsoft/durabletask-js";

const { ENDPOINT, TASKHUB } = process.env;

// A limit for anything that should take a moment, on a machine that is busy with other things.
const PATIENCE_SECONDS = 30;

const silent = () => {};

const connection = {
  hostAddress: new URL(ENDPOINT).host,
  useTLS: ENDPOINT.startsWith("https:"),
  metadataGenerator: async () => {
    const metadata = new grpc.Metadata();
    metadata.set("taskhub", TASKHUB);
    return metadata;
  },
  logger: { error: console.error, warn: console.error, info: silent, debug: silent },
};

export const client = new TaskHubGrpcClient(connection);

// Start a worker that serves these functions and entity classes under their own names.
export async function startWorker({ orchestrators = [], activities = [], entities = [] }, options = {}) {
  const worker = new TaskHubGrpcWorker({ ...connection, ...options });
  orchestrators.forEach((orchestrator) => worker.addOrchestrator(orchestrator));
  activities.forEach((activity) => worker.addActivity(activity));
  entities.forEach((Entity) => worker.addNamedEntity(Entity.name, () => new Entity()));
  await worker.start();
}

// Schedule an orchestration and return how it ended.
export async function run(orchestrator, input, options) {
  return ended(await client.scheduleNewOrchestration(orchestrator, input, options));
}

// Wait for the end of an instance.
export async function ended(id) {
  const state = await client.waitForOrchestrationCompletion(id, true, PATIENCE_SECONDS);
  return { status: OrchestrationStatus[state.runtimeStatus], output: parsed(state.serializedOutput) };
}

// Return the status of an instance now, null where there is none.
export async function statusOf(id) {
  const state = await client.getOrchestrationState(id);
  return state ? OrchestrationStatus[state.runtimeStatus] : null;
}

// Make up a name that no earlier run has left on this scheduler.
export const unique = (name) => `${name}-${randomUUID()}`;

// Ask again and again until `check` returns something, and return that.
export async function until(check, description) {
  const deadline = Date.now() + PATIENCE_SECONDS * 1000;
  while (Date.now() < deadline) {
    const found = await check();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`After ${PATIENCE_SECONDS} seconds still not: ${description}`);
}

// Print what a program found out, and end: the SDK's stop() would wait for seconds.
export function report(found) {
  console.log(JSON.stringify(found));
  process.exit();
}

export const parsed = (text) => (text ? JSON.parse(text) : null);
