/**
 * Where the time of a training step goes, against what the processor can do: ONNX Runtime's profiler over our step and PyTorch's over
 * its own, by turns. `npm run bench:roofline [-- --workload resnet18] [-- --threads 1] [-- --steps 5] [-- --rows 12]`.
 *
 * Each convolution and matrix product is given with its GFLOP/s. The fastest of them is what the processor does at best; a step
 * whose every product ran at that rate, and in which nothing else took time, is its floor. What only moves or maps numbers is
 * held against the GB/s of the fastest node of its operator.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-node";
import { encodeModel } from "../../export/index.ts";
import { convolutionLayout, sessionOptions } from "../../train/executors/onnx.ts";
import { compileStep, PORT } from "../../train/step.ts";
import { PYTHON } from "./contest.ts";
import { LEARNING_RATE, Peer } from "./contestant.ts";
import { nameOf, SPECS, type Spec, WORKLOADS, type Workload, type WorkloadName, workloadOf } from "./workload.ts";

const { values: options } = parseArgs({
  options: {
    workload: { type: "string", default: WORKLOADS.join(",") },
    threads: { type: "string", default: "2" },
    steps: { type: "string", default: "5" },
    rows: { type: "string", default: "12" },
  },
});
const [threads, steps, rows] = [options.threads, options.steps, options.rows].map(Number) as [number, number, number];

/** A node of the graph in one step: its operator, the shapes that go in and out, and the least milliseconds it took. */
interface NodeTime {
  readonly op: string;
  readonly inputs: readonly (readonly number[])[];
  readonly output: readonly number[];
  /** Numbers in all outputs. */
  readonly written: number;
  readonly milliseconds: number;
}

/** An event of ONNX Runtime's profile. */
interface Event {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args: { readonly op_name: string; readonly input_type_shape: Shapes; readonly output_type_shape: Shapes };
}
type Shapes = readonly Readonly<Record<string, readonly number[]>>[];

/** The nodes of a step, each at its fastest. */
async function nodesOf(workload: Workload): Promise<readonly NodeTime[]> {
  const folder = mkdtempSync(join(tmpdir(), "subspan-"));
  const model = compileStep(workload.definition, await convolutionLayout({}));
  const session = await ort.InferenceSession.create(encodeModel(model), {
    ...sessionOptions("cpu", threads),
    enableProfiling: true,
    profileFilePrefix: join(folder, "step"),
  });
  const types = Object.fromEntries(model.inputs.map(({ name, type }) => [name, type]));
  const feeds = feedsOf(workload, types);
  for (let i = 0; i < steps; i++) await session.run(feeds);
  session.endProfiling();
  await session.release();
  const [file] = readdirSync(folder) as [string];
  const events = JSON.parse(readFileSync(join(folder, file), "utf8")) as Event[];
  rmSync(folder, { recursive: true });
  const found = new Map<string, NodeTime>();
  for (const { cat, name, dur, args } of events) {
    if (cat !== "Node" || !name.endsWith("_kernel_time")) continue;
    const shapes = (list: Shapes) => list.map((shape) => Object.values(shape)[0] ?? []);
    const milliseconds = Math.min(dur / 1000, found.get(name)?.milliseconds ?? Number.POSITIVE_INFINITY);
    const outputs = shapes(args.output_type_shape);
    const [output = []] = outputs;
    const written = sum(outputs.map(product));
    found.set(name, { op: args.op_name, inputs: shapes(args.input_type_shape), output, written, milliseconds });
  }
  return [...found.values()];
}

function feedsOf({ state, frozen, feed }: Workload, types: Readonly<Record<string, string>>) {
  const feeds: Record<string, ort.Tensor> = {};
  const set = (
    port: string,
    { data, shape }: { readonly data: ArrayLike<number>; readonly shape: readonly number[] },
  ) => {
    feeds[port] = new ort.Tensor(types[port] as "float32", data as Float32Array, [...shape]);
  };
  set(PORT.t, { data: Float32Array.of(state.t), shape: [] });
  set(PORT.learningRate, { data: Float32Array.of(LEARNING_RATE), shape: [] });
  for (const [name, array] of Object.entries(state.parameters)) set(PORT.parameter(name), array);
  for (const [name, array] of Object.entries(state.m)) set(PORT.m(name), array);
  for (const [name, array] of Object.entries(state.v)) set(PORT.v(name), array);
  for (const [name, array] of Object.entries(frozen)) set(PORT.frozen(name), array);
  for (const [name, array] of Object.entries(feed)) set(PORT.batch(name), array);
  return feeds;
}

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Floating-point operations of a node as it computes; 0 for one that only moves or maps numbers. */
function operations({ op, inputs: [a = [], b = []], output }: NodeTime): number {
  if (op === "Conv") return (2 * product(output) * product(b)) / (b[0] as number);
  if (op === "ConvTranspose") return (2 * product(a) * product(b)) / (b[0] as number);
  // Of [..., m, k] and [..., k, n], however these are stored: m k * k n / m n = k^2.
  const [left, right, result] = [a, b, output].map((shape) => product(shape.slice(-2))) as [number, number, number];
  if (/Gemm|MatMul/.test(op)) return 2 * product(output) * Math.sqrt((left * right) / result);
  return 0;
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const by = <T>(list: readonly T[], key: (item: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const item of list) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
};
const one = (value: number) => value.toFixed(1);

const time = (nodes: readonly NodeTime[]) => sum(nodes.map(({ milliseconds }) => milliseconds));
const gigaflop = (nodes: readonly NodeTime[]) => sum(nodes.map(operations)) / 1e9;
const rate = (nodes: readonly NodeTime[]) => (gigaflop(nodes) / time(nodes)) * 1000;
const bySignature = (nodes: readonly NodeTime[]) =>
  by(nodes, ({ op, inputs }) => `${op} ${inputs.map((shape) => shape.join("x")).join(" ")}`);

/** GFLOP/s of the fastest products: a node of less than half a millisecond tells the clock, not the processor. */
const bestRate = (nodes: readonly NodeTime[]) =>
  Math.max(...[...bySignature(nodes).values()].filter((list) => time(list) / list.length > 0.5).map(rate));
/** Milliseconds of all of them at the rate of the fastest. */
const floor = (nodes: readonly NodeTime[]) => (gigaflop(nodes) / bestRate(nodes)) * 1000;

/** Bytes that a node has to read and write; of an input that it takes a part of, that part. */
const bytes = ({ op, inputs, written }: NodeTime) =>
  4 * (written + (/^(Slice|Gather|Expand)$/.test(op) ? written : sum(inputs.map(product))));
/** Milliseconds of all nodes, were each as fast for its bytes as the fastest of its operator of a tenth of a millisecond and more. */
function movingFloor(nodes: readonly NodeTime[]): number {
  const floors = [...by(nodes, ({ op }) => op).values()].map((list) => {
    const large = list.filter(({ milliseconds }) => milliseconds >= 0.1);
    const best = Math.max(...large.map((node) => bytes(node) / node.milliseconds));
    return sum(list.map((node) => Math.min(node.milliseconds, bytes(node) / best)));
  });
  return sum(floors);
}

async function report(spec: Spec): Promise<void> {
  const nodes = await nodesOf(workloadOf(spec));
  const variant = spec.workload === "energy" ? "contiguous_fused" : "channels_last_fused";
  const [torch, ready] = await Peer.open([PYTHON, "bench/peers/serve.py"], { ...spec, variant, threads } as never);
  await torch.run(1);
  const theirs = Math.min(...(await torch.run(steps)));
  const operators = await torch.operators(Math.min(steps, 3));
  await torch.close();
  const arithmetic = nodes.filter((node) => operations(node) > 0);
  const others = nodes.filter((node) => operations(node) === 0);
  // No matrix product of ONNX Runtime runs as fast as its convolutions: each kind has a best of its own.
  const kinds = [...by(arithmetic, ({ op }) => String(op.startsWith("Conv"))).values()];
  const ofKinds = sum(kinds.map(floor));
  const moving = movingFloor(others);
  const written = (ready.flops as number) / 1e9;
  console.log(`\n## ${nameOf(spec)}, batch ${spec.batch}, ${threads} threads; ${ready.engine}\n`);
  console.log(
    `subspan: ${one(gigaflop(arithmetic))} GFLOP of products in ${one(time(arithmetic))} ms, ${one(rate(arithmetic))} GFLOP/s; the rest ${one(time(others))} ms`,
  );
  console.log(
    `PyTorch: a step ${one(theirs)} ms, ${one((written / theirs) * 1000)} GFLOP/s of ${one(written)} GFLOP as written`,
  );
  console.log(
    `floor: ${one(bestRate(arithmetic))} GFLOP/s at best, ${one(floor(arithmetic))} ms, ${(floor(arithmetic) / theirs).toFixed(2)} of ` +
      `PyTorch's; convolutions and matrix products at the best of each ${one(ofKinds)} ms, ${(ofKinds / theirs).toFixed(2)}; the rest at the ` +
      `best of its operators ${one(moving)} ms, ${(moving / theirs).toFixed(2)}; both ${((ofKinds + moving) / theirs).toFixed(2)}\n`,
  );
  const lines = [...bySignature(arithmetic)].sort(([, a], [, b]) => time(b) - time(a)).slice(0, rows);
  for (const [name, list] of lines)
    console.log(`${one(time(list)).padStart(8)} ms ${one(rate(list)).padStart(7)} GFLOP/s  ${list.length} x ${name}`);
  const rest = [...by(others, ({ op }) => op)]
    .map(([op, list]) => [op, time(list)] as const)
    .sort(([, a], [, b]) => b - a);
  console.log(
    `rest: ${rest
      .slice(0, rows)
      .map(([op, ms]) => `${op} ${one(ms)}`)
      .join(", ")}`,
  );
  console.log(`PyTorch's operators:`);
  for (const { name, shapes, milliseconds } of operators.slice(0, rows))
    console.log(`${one(milliseconds).padStart(8)} ms  ${name} ${shapes.slice(0, 90)}`);
}

for (const name of options.workload.split(",") as WorkloadName[]) {
  for (const spec of SPECS[name]) await report(spec);
}
