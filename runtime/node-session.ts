import type { Device } from "./devices.ts";
import { type Engine, type Runtime, SessionEngine } from "./engine.ts";
import { nodeReason } from "./node-reason.ts";
import type { EngineSetup } from "./remote.ts";

/** What ONNX Runtime says when CUDA fails, and what helps. Found in its sources and in its users' reports. */
const CUDA_REMEDIES: readonly (readonly [says: RegExp, remedy: string])[] = [
  [/libcudnn|cudnn64|CUDNN_STATUS_NOT_INITIALIZED/i, "install cuDNN 9 for the CUDA that is there"],
  [
    /lib(cublas|cublasLt|cudart|cufft|curand|nvrtc)\.so\.(\d+)|(cublas|cudart|cufft)64_/i,
    "install the CUDA version the library's name ends in, and have it in LD_LIBRARY_PATH (Windows: PATH)",
  ],
  [
    /cannot open shared object file|LoadLibrary failed/i,
    "install what is named there, or run node node_modules/onnxruntime-node/script/install.js",
  ],
  [/CUDA failure 35|driver version is insufficient/i, "install a newer NVIDIA driver"],
  [/CUDA failure 100|no CUDA-capable device/i, "there is no NVIDIA GPU here, or CUDA_VISIBLE_DEVICES hides it"],
  [/no kernel image|CUDA failure 209/i, "this GPU is older or newer than the provider knows"],
  [
    /out of memory|CUDA failure 2:|BFCArena|Failed to allocate memory/i,
    "the GPU's memory is full: end what else uses it, or assign in smaller batches",
  ],
  [/not enabled in this build|not available in this build/i, "onnxruntime-node has CUDA on Linux x64 and Windows x64"],
];

/**
 * An engine of onnxruntime-node in this thread, with nothing open. What opening throws is an Error with ONNX Runtime's
 * reason and, for CUDA, what helps.
 *
 * @param runtime - in place of onnxruntime-node.
 */
export async function nodeEngine({ manifest, device, threads }: EngineSetup, runtime?: Runtime): Promise<Engine> {
  const intraOp = threads === undefined ? {} : { intraOpNumThreads: threads };
  const options = { executionProviders: [device], logSeverityLevel: 3, ...intraOp } as const;
  const engine = new SessionEngine(runtime ?? (await import("onnxruntime-node")), manifest, options);
  return {
    open: (part) => engine.open(part).catch((cause) => explain(cause, device)),
    run: (...asked) => engine.run(...asked),
    close: (part) => engine.close(part),
    release: () => engine.release(),
  };
}

function explain(cause: Error, device: Device): never {
  const reason = nodeReason(cause.message);
  const [, remedy] = (device === "cuda" && CUDA_REMEDIES.find(([says]) => says.test(cause.message))) || [];
  throw new Error(remedy === undefined ? reason : `${reason} (${remedy})`, { cause });
}
