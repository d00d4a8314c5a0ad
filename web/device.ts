import type { ClustererInfo, DeviceRequest } from "../runtime/web.ts";
import { byId, make, plural } from "./dom.ts";
import { median } from "./picture.ts";

const NAMES: Readonly<Record<string, string>> = { webgpu: "WebGPU", wasm: "WebAssembly", cpu: "CPU", cuda: "CUDA" };
/** Runs of a measurement: the median of up to so many, or of as many as fit in a time in milliseconds. */
const RUNS = 21;
const PATIENCE = 1500;
const BATCH = 64;

/** Where the clusterer runs, and why not elsewhere or better. */
export function showDevice({ device, threads, failures, notes }: ClustererInfo): void {
  const on = `Running on ${NAMES[device]}${device === "wasm" ? ` with ${plural(threads ?? 1, "thread")}` : ""}.`;
  const not = failures.map((failure) => ` ${NAMES[failure.device]}: ${failure.reason}.`);
  const could = device === "wasm" ? notes.map((note) => ` ${note}.`) : [];
  byId("device-info", HTMLElement).textContent = [on, ...not, ...could].join("");
}

export function requestedDevice(): DeviceRequest {
  const checked = document.querySelector<HTMLInputElement>('input[name="device"]:checked');
  return (checked?.value ?? "auto") as DeviceRequest;
}

export function chooseDevice(device: DeviceRequest): void {
  for (const input of document.querySelectorAll<HTMLInputElement>('input[name="device"]'))
    input.checked = input.value === device;
}

/** Times `run` on one sample and on 64, and adds a row to the table: medians, after one run to warm up. */
export async function measure(
  { device, threads }: ClustererInfo,
  run: (samples: number) => Promise<unknown>,
): Promise<void> {
  const one = await medianTime(() => run(1));
  const many = await medianTime(() => run(BATCH));
  const table = byId("timings", HTMLTableElement);
  const name = device === "wasm" ? `${NAMES.wasm}, ${plural(threads ?? 1, "thread")}` : NAMES[device]!;
  const speed = Math.round((BATCH * 1000) / many).toLocaleString("en");
  const cells = [digits(one), digits(many), speed].map((textContent) => make("td", { textContent }));
  cells.unshift(make("th", { textContent: name, scope: "row" }));
  const row = make("tr", { data: { device } }, ...cells);
  const body = table.tBodies[0]!;
  const before = Array.from(body.rows).find((other) => other.dataset.device === device);
  if (before === undefined) body.append(row);
  else before.replaceWith(row);
  table.hidden = false;
}

async function medianTime(run: () => Promise<unknown>): Promise<number> {
  await run();
  const times: number[] = [];
  const end = performance.now() + PATIENCE;
  while (times.length < RUNS && (times.length < 3 || performance.now() < end)) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return median(times);
}

const digits = (ms: number) => (ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0));
