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

/** An engine of onnxruntime-web in this thread, with nothing open. */
export function webEngine(runtime: WebRuntime, { manifest, device, threads, wasmPaths }: EngineSetup): Engine {
  const { wasm } = runtime.env;
  wasm.numThreads = threads;
  if (wasmPaths !== undefined) wasm.wasmPaths = wasmPaths;
  const engine = new SessionEngine(runtime, manifest, { executionProviders: [device], logSeverityLevel: 3 });
  return {
    open: (part) => inTurn(() => engine.open(part)),
    run: (...asked) => inTurn(() => engine.run(...asked)),
    close: (part) => inTurn(() => engine.close(part)),
    release: () => inTurn(() => engine.release()),
  };
}
