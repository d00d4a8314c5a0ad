import { type Engine, SessionEngine } from "./engine.ts";
import type { EngineSetup } from "./remote.ts";

/** Opens a session of onnxruntime-node in this thread. */
export async function openNodeSession(setup: EngineSetup): Promise<Engine> {
  const { device, threads } = setup;
  const intraOp = threads === undefined ? {} : { intraOpNumThreads: threads };
  const options = { executionProviders: [device], logSeverityLevel: 3, ...intraOp } as const;
  return SessionEngine.open(await import("onnxruntime-node"), setup, options);
}
