import type { Device } from "../../runtime/devices.ts";
import { SubspanError } from "../../runtime/errors.ts";
import type { Executor, SessionSettings } from "./executor.ts";
import { OnnxExecutor } from "./onnx.ts";
import { TensorflowExecutor } from "./tfjs-node.ts";

/** What computes steps, and the devices it can; the first is its default. */
const DEVICES = {
  onnx: ["cpu", "cuda", "webgpu"],
  "tfjs-node": ["cpu"],
  "tfjs-node-gpu": ["cuda"],
} as const satisfies Record<string, readonly Device[]>;

export type EngineName = keyof typeof DEVICES;
export type TrainingDevice = (typeof DEVICES)[EngineName][number];

export const ENGINES = Object.keys(DEVICES) as EngineName[];
export const TRAINING_DEVICES: readonly TrainingDevice[] = DEVICES.onnx;

/** What computes a run's steps, and where. */
export interface Compute {
  readonly engine: EngineName;
  readonly device: TrainingDevice;
}

/** @throws {SubspanError} USAGE if the engine has not this device. */
export function computeOf(engine: EngineName = "onnx", device?: TrainingDevice): Compute {
  if (!ENGINES.includes(engine))
    throw new SubspanError("USAGE", `engine: expected ${ENGINES.join(", ")}, got ${String(engine)}`);
  const devices: readonly TrainingDevice[] = DEVICES[engine];
  if (device === undefined) return { engine, device: devices[0] as TrainingDevice };
  if (devices.includes(device)) return { engine, device };
  throw new SubspanError("USAGE", `engine ${engine} computes on ${devices.join(", ")}, not on ${device}`);
}

/** @throws {SubspanError} DEVICE_UNAVAILABLE or DEPENDENCY_MISSING with the remedy, before anything is trained. */
export async function openExecutor(
  { engine, device }: Compute,
  session: Omit<SessionSettings, "device"> = {},
): Promise<Executor> {
  if (engine === "onnx") return OnnxExecutor.open({ ...session, device });
  return TensorflowExecutor.open(engine, session);
}
