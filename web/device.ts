import type { ClustererInfo, DeviceRequest, ListedBundle, Precision } from "../runtime/web.ts";
import { byId, byteSize, make, plural } from "./dom.ts";
import { median } from "./picture.ts";

const NAMES: Readonly<Record<string, string>> = { webgpu: "WebGPU", wasm: "WebAssembly", cpu: "CPU", cuda: "CUDA" };
/** Runs of a measurement: the median of up to so many, or of as many as fit in a time in milliseconds. */
const RUNS = 21;
const PATIENCE = 1500;
const BATCH = 64;

/** A bundle's graphs and their files. */
const GRAPHS = { fp32: "model.onnx", fp16: "model.fp16.onnx", int8: "model.int8.onnx" } as const satisfies Record<
  Precision,
  string
>;

/** Where a clusterer is to run, and on which of its bundle's graphs. */
export interface Choice {
  readonly device: DeviceRequest;
  readonly dtype: Precision | "auto";
}

/** Offers the graphs of a bundle that has several, and what it takes to fetch each; none is chosen yet. */
export function offerGraphs({ files }: ListedBundle): void {
  const options = Object.entries(GRAPHS).flatMap(([value, path]) => {
    const file = files.find((one) => one.path === path);
    return file === undefined ? [] : [make("option", { value, textContent: `${value} (${byteSize(file.size)})` })];
  });
  const auto = make("option", { value: "auto", textContent: "Auto", selected: true });
  byId("dtype", HTMLSelectElement).replaceChildren(auto, ...options);
  byId("precision", HTMLElement).hidden = options.length < 2;
}

/** Where the clusterer runs, on which graph if there are several, and why not elsewhere or better. */
export function showDevice(info: ClustererInfo): void {
  const { device, failures, notes } = info;
  const not = failures.map((failure) => ` ${NAMES[failure.device]}: ${failure.reason}.`);
  const could = device === "wasm" ? notes.map((note) => ` ${note}.`) : [];
  const on = `Running on ${placeOf(info, " with ")}.`;
  byId("device-info", HTMLElement).textContent = [on, ...not, ...could].join("");
}

/** "WebAssembly, 2 threads, fp16" */
function placeOf({ device, threads, dtype }: ClustererInfo, before = ", "): string {
  const used = device === "wasm" ? `${before}${plural(threads ?? 1, "thread")}` : "";
  const graph = dtype === undefined || byId("precision", HTMLElement).hidden ? "" : `, ${dtype}`;
  return `${NAMES[device]}${used}${graph}`;
}

export function choice(): Choice {
  const device = document.querySelector<HTMLInputElement>('input[name="device"]:checked')?.value ?? "auto";
  return { device, dtype: byId("dtype", HTMLSelectElement).value } as Choice;
}

export function choose({ device, dtype }: Choice): void {
  for (const input of document.querySelectorAll<HTMLInputElement>('input[name="device"]'))
    input.checked = input.value === device;
  byId("dtype", HTMLSelectElement).value = dtype;
}

/** Lets nobody choose while `task` runs; who chose by keyboard goes on from there. */
export async function whileFixed(task: () => Promise<void>): Promise<void> {
  const controls = [byId("devices", HTMLFieldSetElement), byId("dtype", HTMLSelectElement)];
  const focused = document.activeElement;
  for (const control of controls) control.disabled = true;
  try {
    await task();
  } finally {
    for (const control of controls) control.disabled = false;
    if (focused instanceof HTMLElement && document.activeElement === document.body) focused.focus();
  }
}

/** Times `run` on one sample and on 64, and adds a row to the table: medians, after one run to warm up. */
export async function measure(info: ClustererInfo, run: (samples: number) => Promise<unknown>): Promise<void> {
  const one = await medianTime(() => run(1));
  const many = await medianTime(() => run(BATCH));
  const table = byId("timings", HTMLTableElement);
  const speed = Math.round((BATCH * 1000) / many).toLocaleString("en");
  const cells = [digits(one), digits(many), speed].map((textContent) => make("td", { textContent }));
  cells.unshift(make("th", { textContent: placeOf(info).replace(/(\d) /, "$1\u00a0"), scope: "row" }));
  const { device, dtype = "fp32" } = info;
  const row = make("tr", { data: { device, dtype } }, ...cells);
  const body = table.tBodies[0]!;
  const before = Array.from(body.rows).find(({ dataset }) => dataset.device === device && dataset.dtype === dtype);
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
