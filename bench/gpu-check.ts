/**
 * What only a machine with a GPU can show: parity and throughput of a bundle on every device that Node offers, against the CPU.
 * `npm run gpu-check [-- BUNDLE... --rounds 15]` (bundles/digits unless said). Without a GPU it says so, device by device, and ends with 1.
 */
import { parseArgs } from "node:util";
import { type Device, loadClusterer, readBundle, SubspanError } from "../runtime/node.ts";

const OUTPUTS = ["label", "confidence", "novelty", "probabilities", "embedding", "latent"] as const;
const GPUS = ["cuda", "webgpu"] as const satisfies readonly Device[];
const BATCHES = [1, 7, 256] as const;
const PARITY = 1e-4;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "15" } },
});
const rounds = Number(values.rounds);
const bundles = positionals.length > 0 ? positionals : ["bundles/digits"];

type Clusterer = Awaited<ReturnType<typeof loadClusterer>>;
type Samples = { readonly data: Uint8Array | Float32Array; readonly shape: readonly number[] };

/** Samples of noise: what is compared is arithmetic, not what was learnt. */
function noise({ input }: Clusterer["info"]["manifest"], count: number): Samples {
  const sample = input.shape.slice(1).map(Number);
  const length = sample.reduce((a, b) => a * b, count);
  let state = 7;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const data =
    input.dtype === "uint8"
      ? Uint8Array.from({ length }, () => 256 * next())
      : Float32Array.from({ length }, () => 2 * next() - 1);
  return { data, shape: [count, ...sample] };
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

async function milliseconds(clusterer: Clusterer, samples: Samples): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < rounds + 2; i++) {
    const began = performance.now();
    await clusterer.assign(samples);
    if (i >= 2) times.push(performance.now() - began);
  }
  return median(times);
}

/** Labels that differ though their two likeliest clusters are further apart than ties, and the greatest difference. */
async function compare(ours: Clusterer, cpu: Clusterer, samples: Samples) {
  const outputs = OUTPUTS.filter((name) => cpu.info.manifest.outputs.some((output) => output.name === name));
  const [a, b] = await Promise.all([ours, cpu].map((clusterer) => clusterer.assign(samples, { outputs })));
  if (a === undefined || b === undefined) throw new Error("two answers were asked for");
  const { data, shape } = b.probabilities;
  const clusters = shape[1] as number;
  const labels = a.label.filter((label, i) => {
    const [first = 0, second = 0] = data.slice(i * clusters, (i + 1) * clusters).sort((x, y) => y - x);
    return label !== b.label[i] && first - second > PARITY;
  }).length;
  let greatest = 0;
  for (const name of outputs.filter((name) => name !== "label")) {
    const numbers = (value: Float32Array | Int32Array | { readonly data: Float32Array }) =>
      "data" in value ? value.data : value;
    const theirs = numbers(b[name]);
    numbers(a[name]).forEach((value, i) => {
      greatest = Math.max(greatest, Math.abs(value - (theirs[i] as number)));
    });
  }
  return { labels, greatest };
}

let found = 0;
let wrong = 0;
const rows: string[] = [];
for (const path of bundles) {
  const bundle = await readBundle(path);
  const cpu = await loadClusterer(bundle, { device: "cpu", strict: true });
  const { name, method } = cpu.info.manifest;
  const onCpu = new Map<number, number>();
  for (const batch of BATCHES) onCpu.set(batch, await milliseconds(cpu, noise(cpu.info.manifest, batch)));
  for (const device of GPUS) {
    try {
      const gpu = await loadClusterer(bundle, { device, strict: true });
      found++;
      for (const batch of BATCHES) {
        const samples = noise(cpu.info.manifest, batch);
        const { labels, greatest } = await compare(gpu, cpu, samples);
        const took = await milliseconds(gpu, samples);
        const equal = labels === 0 && greatest <= PARITY;
        if (!equal) wrong++;
        const ratio = ((onCpu.get(batch) as number) / took).toFixed(2);
        const rate = Math.round((1000 * batch) / took).toLocaleString("en");
        rows.push(
          `| ${[name, method, device, batch, equal ? "equal" : `${labels} labels differ`, greatest.toExponential(1), took.toPrecision(3), rate, ratio].join(" | ")} |`,
        );
      }
      await gpu.dispose();
    } catch (error) {
      if (!(error instanceof SubspanError) || error.code !== "DEVICE_UNAVAILABLE") throw error;
      console.log(`${name}: no ${device} here: ${error.message}`);
    }
  }
  await cpu.dispose();
}
if (found === 0) {
  console.log("There is no GPU on this machine that ONNX Runtime can use: nothing was compared, nothing is shown.");
  process.exitCode = 1;
} else {
  console.log("| bundle | method | device | batch | labels | max difference | ms | samples a second | x CPU |");
  console.log(`|${" --- |".repeat(9)}\n${rows.join("\n")}`);
  if (wrong > 0) {
    console.log(`${wrong} comparisons beyond ${PARITY}.`);
    process.exitCode = 1;
  }
}
