/**
 * What only a machine with a GPU can show: parity and throughput of every variant of a bundle on every device that Node offers,
 * against fp32 on the CPU. `npm run gpu-check [-- BUNDLE... --rounds 15 --samples 1000]` (bundles/digits unless said). Without a
 * GPU it says so, device by device, compares the variants on the CPU, and ends with 1.
 */
import { parseArgs } from "node:util";
import { type Comparison, compareOutputs, LEAST_AGREEMENT } from "../export/index.ts";
import { type Device, loadClusterer, type OutputName, readManifest, SubspanError } from "../runtime/node.ts";
import { median } from "./median.ts";
import { part, type Samples, unseen } from "./runtime/samples.ts";

const DEVICES = ["cpu", "cuda", "webgpu"] as const satisfies readonly Device[];
const PRECISIONS = ["fp32", "fp16", "int8"] as const;
const BATCHES = [1, 7, 256] as const;
/** Labels of a batch size are compared on at most so many batches. */
const MOST_BATCHES = 40;
/** How far numbers of fp32 may be from the CPU's. Of the others labels alone count. */
const PARITY = 1e-4;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "15" }, samples: { type: "string", default: "1000" } },
});
const [rounds, count] = [Number(values.rounds), Number(values.samples)];
const bundles = positionals.length > 0 ? positionals : ["bundles/digits"];

type Clusterer = Awaited<ReturnType<typeof loadClusterer>>;

async function milliseconds(clusterer: Clusterer, samples: Samples): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < rounds + 2; i++) {
    const began = performance.now();
    await clusterer.assign(samples);
    if (i >= 2) times.push(performance.now() - began);
  }
  return median(times);
}

/** All outputs in batches of a size, as the comparison reads them. */
async function outputsOf(clusterer: Clusterer, samples: Samples, batchSize: number) {
  const outputs = clusterer.info.manifest.outputs.map(({ name }) => name as OutputName);
  const answer = await clusterer.assign(samples, { outputs, batchSize });
  return Object.fromEntries(
    outputs.map((name) => {
      const value = answer[name];
      return [name, "shape" in value ? value : { data: value, shape: [value.length] }];
    }),
  );
}

/** What is wrong with a variant on a device, in words, or nothing. */
function faultOf(precision: (typeof PRECISIONS)[number], compared: readonly Comparison[]): string | undefined {
  if (precision === "fp32") {
    if (compared.some(({ labelAgreementOutsideTies: agreement }) => agreement < 1)) return "labels differ";
    const farthest = Math.max(...compared.map(greatest));
    return farthest <= PARITY ? undefined : `${farthest.toExponential(1)} apart, at most ${PARITY} is allowed`;
  }
  const all = compared.reduce((sum, { samples }) => sum + samples, 0);
  const equal = compared.reduce((sum, { samples, labelAgreement }) => sum + samples * labelAgreement, 0);
  const least = LEAST_AGREEMENT[precision];
  return equal / all >= least
    ? undefined
    : `${percent(equal / all)} of labels are fp32's, at least ${percent(least)} must be`;
}

const greatest = ({ outputs }: Comparison) => Math.max(...Object.values(outputs).map(({ maxAbs }) => maxAbs));
const percent = (share: number) => `${Number((100 * share).toFixed(2))} %`;

let found = 0;
const faults: string[] = [];
const rows: string[] = [];
for (const path of bundles) {
  const bundle = await readManifest(path);
  const { name, method, input } = bundle.manifest;
  const there = bundle.files.map((file) => file.path);
  const samples = await unseen(count, input);
  const cpu = await loadClusterer(bundle, { device: "cpu", strict: true });
  const onCpu = new Map<number, number>();
  for (const precision of PRECISIONS) {
    if (precision !== "fp32" && !there.includes(`model.${precision}.onnx`)) continue;
    for (const device of DEVICES) {
      try {
        const clusterer = await loadClusterer(bundle, { device, strict: true, dtype: precision });
        if (device !== "cpu") found++;
        const compared: Comparison[] = [];
        for (const batch of BATCHES.filter((batch) => batch <= count)) {
          const some = part(samples, 0, MOST_BATCHES * batch);
          const [expected, got] = [await outputsOf(cpu, some, batch), await outputsOf(clusterer, some, batch)];
          const comparison = compareOutputs("fp32 on the CPU", expected, got);
          const took = await milliseconds(clusterer, part(samples, 0, batch));
          if (!onCpu.has(batch)) onCpu.set(batch, took);
          const ratio = ((onCpu.get(batch) as number) / took).toFixed(2);
          const rate = Math.round((1000 * batch) / took).toLocaleString("en");
          const labels = `${percent(comparison.labelAgreement)} of ${comparison.samples}`;
          const figures = [labels, greatest(comparison).toExponential(1), took.toPrecision(3), rate, ratio];
          rows.push(`| ${[name, method, precision, device, batch, ...figures].join(" | ")} |`);
          compared.push(comparison);
        }
        const fault = faultOf(precision, compared);
        if (fault !== undefined) faults.push(`${name}, ${precision} on ${device}: ${fault}`);
        await clusterer.dispose();
      } catch (error) {
        if (!(error instanceof SubspanError)) throw error;
        if (error.code === "DEVICE_UNAVAILABLE")
          console.log(`${name}: no ${precision} on ${device} here: ${error.message}`);
        else faults.push(`${name}, ${precision} on ${device}: ${error.message}`);
      }
    }
  }
  await cpu.dispose();
}
const head = ["bundle", "method", "variant", "device", "batch", "labels as fp32's on the CPU", "max difference"];
console.log(`| ${[...head, "ms", "samples a second", "x fp32 on the CPU"].join(" | ")} |`);
console.log(`|${" --- |".repeat(head.length + 3)}\n${rows.join("\n")}`);
for (const fault of faults) console.log(fault);
if (found === 0) console.log("There is no GPU on this machine that ONNX Runtime can use: only the CPU is shown.");
if (found === 0 || faults.length > 0) process.exitCode = 1;
