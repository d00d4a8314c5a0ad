/**
 * Figures of the runtime: what `assign` adds to a bare `session.run`, PyTorch (with NumPy and alone) and tfjs-node doing the
 * same, a long stream's memory, and the browser, beside transformers.js. `npm run bench:runtime [-- --bundle bundles/digits
 * --samples 1000000 --rounds 15 --skip browser,torch,tfjs,transformers,stream]`; `--write` puts the table into
 * docs/performance.md. A short look: `--samples 2000 --rounds 1`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-node";
import { compareOutputs } from "../export/index.ts";
import { loadClusterer } from "../runtime/node.ts";
import { median } from "./median.ts";
import { browserFigures } from "./runtime/browser.ts";
import { flopsOf } from "./runtime/flops.ts";
import { openPeer, type PeerName } from "./runtime/peer.ts";
import { noise, unseen } from "./runtime/samples.ts";
import { classifier, SIDE, TRANSFORMERS_VERSION } from "./runtime/transformers.ts";

const { values: options } = parseArgs({
  options: {
    bundle: { type: "string", default: "bundles/digits" },
    samples: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "15" },
    skip: { type: "string", default: "" },
    write: { type: "boolean", default: false },
  },
});
const PAGE = "docs/performance.md";
const MARKS = ["<!-- bench:runtime -->", "<!-- /bench:runtime -->"] as const;
const FETCHES = ["label", "confidence", "novelty"];
const skipped = new Set(options.skip.split(","));
const rounds = Number(options.rounds);

type Row = readonly [what: string, found: string, goal: string];

const rowsOf = (data: Int32Array) => ({ data, shape: [data.length] });
const ms = (value: number) => `${value.toPrecision(3)} ms`;
const gigaflops = (value: number) => `${(value / 1e9).toPrecision(3)} GFLOP/s`;
const perSecond = (value: number) => `${Math.round(value).toLocaleString("en")} a second`;

async function timed(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

/** Runs before the one that is timed: after another session's run its threads spin a while, which doubles the first. */
const SETTLING = 5;

async function settled(run: () => Promise<unknown>): Promise<number> {
  for (let i = 0; i < SETTLING; i++) await run();
  return timed(run);
}

/** What `assign` adds to the bare run, in turns, and what other engines take for the same. */
async function assignRows(): Promise<Row[]> {
  const model = readFileSync(join(options.bundle, "model.onnx"));
  const threads = cpus().length;
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3, intraOpNumThreads: threads });
  const clusterer = await loadClusterer(options.bundle, { device: "cpu", threads });
  const turns = async (batch: number, count: number) => {
    const { data, shape } = noise(batch, manifest.input);
    const bare = () =>
      session.run({ [manifest.input.name]: new ort.Tensor(manifest.input.dtype, data, shape) }, FETCHES);
    const ours = () => clusterer.assign({ data, shape });
    const times = { bare: [] as number[], ours: [] as number[] };
    for (let i = 0; i < count + 3; i++) {
      const [a, b] =
        i % 2 === 0 ? [await settled(bare), await settled(ours)] : [await settled(ours), await settled(bare)].reverse();
      if (i < 3) continue;
      times.bare.push(a as number);
      times.ours.push(b as number);
    }
    return { bare: median(times.bare), ours: median(times.ours) };
  };
  const large = await turns(256, rounds);
  const small = await turns(1, 20 * rounds);
  const overhead = `${(100 * (large.ours / large.bare - 1)).toFixed(1)} % over ${ms(large.bare)} of session.run`;
  const rows: Row[] = [
    ["Node, batch 256", `${ms(large.ours)}, ${perSecond(256_000 / large.ours)}; ${overhead}`, "<= 3 %"],
    ["Node, batch 1, p50", `${ms(small.ours)}; ${ms(small.ours - small.bare)} over session.run`, "<= 0.6 ms added"],
  ];
  const images = await unseen(256, manifest.input);
  const { label, probabilities } = await clusterer.assign(images, { outputs: ["label", "probabilities"] });
  const answer = { label: rowsOf(label), probabilities };
  const isByHand = manifest.method === "dscdan" && manifest.readout === "nystrom";
  if (!skipped.has("torch")) {
    if (isByHand) rows.push(await peerRow("numpy", "by hand", "bench/environment.sh", ">= 3 x"));
    rows.push(await peerRow("pytorch", "the same graph", "bench/environment.sh"));
  }
  if (!skipped.has("tfjs")) rows.push(await peerRow("tfjs", "the same graph", "npm run setup:tfjs-node"));
  await Promise.all([session.release(), clusterer.dispose()]);
  return rows;

  async function peerRow(name: PeerName, how: string, remedy: string, goal = ""): Promise<Row> {
    const peer = await openPeer(name, model, images, threads);
    if (peer === undefined) return [`${name}, ${how}, batch 256`, `not there: ${remedy}`, goal];
    const theirs = { label: rowsOf(Int32Array.from(peer.labels)) };
    const { labelAgreementOutsideTies: agreement } = compareOutputs(peer.engine, theirs, answer);
    if (agreement < 1)
      throw new Error(`${peer.engine}, ${how}: ${100 * agreement} % of the labels are ours, all should be`);
    const times = { theirs: [] as number[], ours: [] as number[] };
    for (let i = 0; i < rounds; i++) {
      times.theirs.push((await peer.time(SETTLING + 1)).at(-1) as number);
      times.ours.push(await settled(() => clusterer.assign(images)));
    }
    await peer.close();
    const ratio = (median(times.theirs) / median(times.ours)).toFixed(2);
    return [`${peer.engine}, ${how}, batch 256`, `${ms(median(times.theirs))}, ${ratio} x ours`, goal];
  }
}

/** A long stream through `assignStream`: memory must not grow with it. */
async function streamRow(): Promise<Row> {
  const total = Number(options.samples);
  const clusterer = await loadClusterer(options.bundle, { device: "cpu" });
  const chunk = noise(1000, manifest.input);
  function* source() {
    for (let sent = 0; sent < total; sent += 1000) yield chunk;
  }
  const settled = Math.min(50_000, total / 10);
  let before = 0;
  let most = 0;
  let seen = 0;
  const began = performance.now();
  for await (const { count } of clusterer.assignStream(source())) {
    seen += count;
    if (seen < settled) continue;
    const { rss } = process.memoryUsage();
    before ||= rss;
    most = Math.max(most, rss);
  }
  const seconds = (performance.now() - began) / 1000;
  await clusterer.dispose();
  const growth = ((most - before) / 2 ** 20).toFixed(0);
  return [
    `stream of ${total.toLocaleString("en")}`,
    `${perSecond(seen / seconds)}; RSS grew by ${growth} MB`,
    "<= 100 MB",
  ];
}

async function browserRows(sample: readonly number[]): Promise<Row[]> {
  const theirs = skipped.has("transformers") ? undefined : classifier();
  const { cold, warm, rate } = await browserFigures(options.bundle, sample, Math.min(rounds, 7), theirs);
  const model = readFileSync(join(options.bundle, "model.onnx"));
  const { name, dtype } = manifest.input;
  const { data, shape } = noise(1, manifest.input);
  const flops = await flopsOf(model, { [name]: new ort.Tensor(dtype, data, shape) });
  const pixels = new ort.Tensor(new Float32Array(3 * SIDE * SIDE), [1, 3, SIDE, SIDE]);
  const flopsOfTheirs = theirs && (await flopsOf(theirs, { pixel_values: pixels }));
  const rows: Row[] = [
    ["Chromium, navigation to first label, nothing kept", ms(cold), ""],
    ["Chromium, the same, all kept", ms(warm), "<= 1500 ms"],
  ];
  for (const threads of [1, 2] as const) {
    const { ours, pipeline, model } = rate[threads];
    const on = `WASM, batch 256, ${threads === 1 ? "1 thread" : "2 threads"}`;
    const more = threads === 1 ? "" : `, ${(ours / rate[1].ours).toFixed(2)} x`;
    rows.push([`Chromium, ${on}`, `${perSecond(ours)}${more}; ${gigaflops(ours * flops)}`, ""]);
    if (flopsOfTheirs === undefined || pipeline === undefined || model === undefined) continue;
    for (const [what, theirs] of Object.entries({ "image-classification pipeline": pipeline, "model alone": model })) {
      const ratio = ((ours * flops) / (theirs * flopsOfTheirs)).toFixed(2);
      const found = `${perSecond(theirs)}; ${gigaflops(theirs * flopsOfTheirs)}; ours ${ratio} x`;
      rows.push([`transformers.js ${TRANSFORMERS_VERSION}, ${what}, ${on}`, found, ""]);
    }
  }
  if (flopsOfTheirs === undefined) return rows;
  const [mine, other] = [flops, flopsOfTheirs].map((count) => `${(count / 1e6).toFixed(1)} MFLOP`);
  return [...rows, ["An image: the clusterer, and transformers.js's classifier", `${mine}, ${other}`, ""]];
}

const probe = await loadClusterer(options.bundle, { device: "cpu" });
const { manifest, device } = probe.info;
await probe.dispose();
const sample = manifest.input.shape.slice(1).map(Number);
const rows: Row[] = [
  ...(await assignRows()),
  ...(skipped.has("stream") ? [] : [await streamRow()]),
  ...(skipped.has("browser") ? [] : await browserRows(sample)),
];
const table = [["", "found", "goal"], ["---", "---", "---"], ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
const text = `The bundle "${manifest.name}" (${manifest.method}, images of ${sample.join(" x ")}), ${device}, ${cpus().length} cores.\n\n${table}`;
console.log(text);
if (options.write) {
  const page = readFileSync(PAGE, "utf8");
  const [from, to] = MARKS.map((mark) => page.indexOf(mark)) as [number, number];
  if (from < 0 || to < from) throw new Error(`${PAGE}: expected ${MARKS.join(" and ")}`);
  writeFileSync(PAGE, `${page.slice(0, from + MARKS[0].length)}\n${text}\n${page.slice(to)}`);
}
