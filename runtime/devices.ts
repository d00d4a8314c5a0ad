import { SubspanError } from "./errors.ts";

export type Device = "cpu" | "cuda" | "webgpu" | "wasm";
export type DeviceRequest = "auto" | Device;

/** A device that was tried and is not used. */
export interface DeviceFailure {
  readonly device: Device;
  readonly reason: string;
}

/** What a walk down the ladder ended with. */
export interface Opened<T> {
  readonly device: Device;
  readonly opened: T;
  readonly failures: readonly DeviceFailure[];
}

/**
 * Tries devices in order until one opens: ONNX Runtime does not fall back by itself. `auto` walks the whole ladder; a
 * named device falls back to the rungs below it, or with `strict` to none. `auto` asked for nothing, so `strict`
 * leaves it alone.
 *
 * @param ladder - what this platform offers, best first; the last one works everywhere.
 * @param open - throws why a device cannot be used. It is tried with a sample there: a session may open and fail to
 *   run.
 * @throws {SubspanError} DEVICE_UNAVAILABLE with the reason of every device tried; INTERRUPTED, BUNDLE_* and GRAPH_*
 *   as `open` does: no other device would help.
 */
export async function walkLadder<T>(
  request: DeviceRequest,
  strict: boolean,
  ladder: readonly Device[],
  open: (device: Device) => Promise<T>,
): Promise<Opened<T>> {
  const failures: DeviceFailure[] = [];
  for (const device of rungs(request, strict, ladder)) {
    try {
      if (!ladder.includes(device)) throw new Error(`not offered here; there is ${ladder.join(", ")}`);
      return { device, opened: await open(device), failures };
    } catch (error) {
      if (error instanceof SubspanError && /^(INTERRUPTED|BUNDLE|GRAPH)/.test(error.code)) throw error;
      failures.push({ device, reason: reasonOf(error) });
    }
  }
  const reasons = failures.map(({ device, reason }) => `${device}: ${reason}`).join("; ");
  throw new SubspanError("DEVICE_UNAVAILABLE", `no device for "${request}": ${reasons}`);
}

function rungs(request: DeviceRequest, strict: boolean, ladder: readonly Device[]): readonly Device[] {
  if (request === "auto") return ladder;
  if (strict) return [request];
  const at = ladder.indexOf(request);
  return at < 0 ? [request, ...ladder.slice(-1)] : ladder.slice(at);
}

/** The first line of an error's message. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0]!.slice(0, 400);
}
