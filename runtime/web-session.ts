import { type Engine, type Runtime, SessionEngine } from "./engine.ts";
import type { EngineSetup } from "./remote.ts";

/** What of onnxruntime-web's entries is used: both have it. */
export interface WebRuntime extends Runtime {
  readonly env: { readonly wasm: { numThreads?: number | undefined; wasmPaths?: unknown } };
}

/** onnxruntime-web opens and runs one session at a time in a thread, whichever clusterer's it is. */
let lastTurn: Promise<unknown> = Promise.resolve();
function inTurn<T>(task: () => Promise<T>): Promise<T> {
  const turn = lastTurn.then(task);
  lastTurn = turn.catch(() => {});
  return turn;
}

/** Opens a session of onnxruntime-web in this thread. */
export async function openWebSession(runtime: WebRuntime, setup: EngineSetup): Promise<Engine> {
  const { wasm } = runtime.env;
  wasm.numThreads = setup.threads;
  if (setup.wasmPaths !== undefined) wasm.wasmPaths = setup.wasmPaths;
  const options = { executionProviders: [setup.device], logSeverityLevel: 3 } as const;
  const engine = await inTurn(() => SessionEngine.open(runtime, setup, options));
  return {
    open: (part) => inTurn(() => engine.open(part)),
    run: (...asked) => inTurn(() => engine.run(...asked)),
    close: (part) => inTurn(() => engine.close(part)),
    release: () => inTurn(() => engine.release()),
  };
}
