import { reasonOf } from "./devices.ts";
import { type Engine, type Runtime, SessionEngine } from "./engine.ts";
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
 * Opens a session of onnxruntime-node in this thread.
 *
 * @param runtime - in place of onnxruntime-node.
 * @throws an Error with ONNX Runtime's reason and, for CUDA, what helps.
 */
export async function openNodeSession(setup: EngineSetup, runtime?: Runtime): Promise<Engine> {
  const { device, threads } = setup;
  const intraOp = threads === undefined ? {} : { intraOpNumThreads: threads };
  const options = { executionProviders: [device], logSeverityLevel: 3, ...intraOp } as const;
  try {
    return await SessionEngine.open(runtime ?? (await import("onnxruntime-node")), setup, options);
  } catch (cause) {
    if (device !== "cuda") throw cause;
    const [, remedy] = CUDA_REMEDIES.find(([says]) => says.test((cause as Error).message)) ?? [];
    throw new Error(remedy === undefined ? reasonOf(cause) : `${reasonOf(cause)} (${remedy})`, { cause });
  }
}
