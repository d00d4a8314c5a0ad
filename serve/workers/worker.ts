/** A worker thread: opens models and answers batches of requests with them. */
import { parentPort, workerData } from "node:worker_threads";
import { SubspanError } from "../../runtime/node.ts";
import type { Answer, Call, WorkerSettings } from "./messages.ts";
import { ServedModel } from "./served-model.ts";
import { readShared } from "./shared-bundle.ts";

const port = parentPort!;
const settings = workerData as WorkerSettings;
const models = new Map<number, ServedModel>();

port.on("message", async (call: Call | "exit") => {
  if (call === "exit") process.exit();
  try {
    const answer = await perform(call);
    const transfer = answer !== undefined && "replies" in answer ? [answer.bytes] : [];
    port.postMessage({ ticket: call.ticket, answer } satisfies Answer, transfer);
  } catch (error) {
    const { message, stack } = error as Error;
    const known = error instanceof SubspanError;
    const told = { code: known ? error.code : undefined, message: known ? message : (stack ?? message) };
    port.postMessage({ ticket: call.ticket, error: told } satisfies Answer);
  }
});

async function perform({ call, ask }: Call) {
  switch (call) {
    case "read":
      return readShared(ask.source, ask.precision);
    case "open": {
      const model = await ServedModel.open(ask, settings);
      models.set(ask.model, model);
      return model.opened;
    }
    case "close": {
      const model = models.get(ask.model);
      models.delete(ask.model);
      await model?.dispose();
      return undefined;
    }
    case "run":
      return models.get(ask.model)!.answer(ask.jobs);
  }
}
