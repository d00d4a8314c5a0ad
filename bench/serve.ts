/**
 * Requests a second and how long they take, against the same graph behind FastAPI and MLServer (bench/serve/environment.sh), all
 * asked by a second process, in turns: A B C A B C, after one turn that is not measured. Then what the server makes of bare
 * `session.run`, and its health under load.
 *
 *     npm run bench:serve [-- --bundle bundles/digits --seconds 10 --rounds 3 --connections 1,16,64 --only FastAPI --write]
 *
 * `--write` puts the tables into docs/performance.md.
 */
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import * as ort from "onnxruntime-node";
import sharp from "sharp";
import { readBundle } from "../runtime/node.ts";
import { median } from "./median.ts";
import type { Hit, Shot } from "./serve/cannon.ts";
import { type Contestant, contestants } from "./serve/contestants.ts";

const { values: options } = parseArgs({
  options: {
    bundle: { type: "string", default: "bundles/digits" },
    seconds: { type: "string", default: "10" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "1,16,64" },
    only: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
const PAGE = "docs/performance.md";
const MARKS = ["<!-- bench:serve -->", "<!-- /bench:serve -->"] as const;
const FETCHES = ["label", "confidence", "novelty"];
const seconds = Number(options.seconds);
const rounds = Number(options.rounds);
const counts = options.connections.split(",").map(Number);

type Request = Pick<Shot, "method" | "headers" | "body"> & { readonly path: string };

const fire = async (shot: Shot): Promise<Hit> => {
  const cannon = fileURLToPath(new URL("serve/cannon.js", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [cannon, JSON.stringify(shot)]);
  return JSON.parse(stdout) as Hit;
};

const { manifest } = await readBundle(options.bundle);
const [, ...sample] = manifest.input.shape.map(Number);
const size = sample.reduce((a, b) => a * b, 1);
const noise = (n: number) =>
  Uint8Array.from({ length: n * size }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 24) & 255);
const model = `/v2/models/${manifest.name}`;

/** A request for `rows` samples, its tensors in bytes both ways or in JSON. */
function infer(rows: number, binary: boolean): Request {
  const data = noise(rows);
  const tensor = { name: manifest.input.name, shape: [rows, ...sample], datatype: "UINT8" };
  const own = binary ? { parameters: { binary_data_size: data.length } } : { data: [...data] };
  const outputs = FETCHES.map((name) => ({ name, parameters: { binary_data: binary } }));
  const json = Buffer.from(JSON.stringify({ inputs: [{ ...tensor, ...own }], outputs }));
  const headers: Record<string, string> = binary
    ? { "content-type": "application/octet-stream", "inference-header-content-length": String(json.length) }
    : { "content-type": "application/json" };
  const body = (binary ? Buffer.concat([json, data]) : json).toString("base64");
  return { path: `${model}/infer`, method: "POST", headers, body };
}

async function png(): Promise<Request> {
  const [height, width, channels] = sample as [number, number, 1 | 3];
  const image = await sharp(noise(1), { raw: { width, height, channels } }).png().toBuffer();
  return {
    path: `${model}/assign`,
    method: "POST",
    headers: { "content-type": "image/png" },
    body: image.toString("base64"),
  };
}

const REQUESTS: Readonly<Record<string, Request>> = {
  "1 row, JSON": infer(1, false),
  "1 row, bytes": infer(1, true),
  "64 rows, bytes": infer(64, true),
  "1 PNG": await png(),
};

/** Whether it takes such a request at all. */
async function takes({ url }: Contestant, { path, method, headers, body }: Request): Promise<boolean> {
  const answer = await fetch(url + path, { method, headers, body: Buffer.from(body, "base64") });
  await answer.arrayBuffer();
  return answer.ok;
}

const at = ({ url }: Contestant, { path, ...request }: Request, connections: number): Shot => ({
  ...{ ...request, url: url + path, connections, seconds },
});

/** Rounds of all in turns; of each the medians. Requests that failed are errors: a refusal is fast. */
async function contest(all: readonly Contestant[], request: Request, connections: number): Promise<Map<string, Hit>> {
  const hits = new Map<string, Hit[]>(all.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const one of all) hits.get(one.name)?.push(await fire(at(one, request, connections)));
  const middle = (of: readonly Hit[]): Hit => ({
    rate: median(of.map(({ rate }) => rate)),
    p50: median(of.map(({ p50 }) => p50)),
    p99: median(of.map(({ p99 }) => p99)),
    failed: of.reduce((sum, { failed }) => sum + failed, 0),
  });
  return new Map([...hits].map(([name, of]) => [name, middle(of)]));
}

const number = (value: number) => (value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3));
function cells(hit: Hit | undefined, own: Hit): string[] {
  if (hit === undefined) return ["-", "-", "-"];
  const times = `${number(hit.p50)} / ${number(hit.p99)}${hit.failed > 0 ? `, ${hit.failed} failed` : ""}`;
  return [
    number(hit.rate),
    times,
    hit === own ? "" : `${(own.rate / hit.rate).toFixed(1)}, ${(own.p99 / hit.p99).toFixed(2)}`,
  ];
}

/** Rows a second of the server, 64 rows in bytes a request, and of `session.run` on all cores, in turns. */
async function bareRow(server: Contestant): Promise<string> {
  const threads = cpus().length;
  const graph = readFileSync(join(options.bundle, "model.onnx"));
  const session = await ort.InferenceSession.create(graph, { logSeverityLevel: 3, intraOpNumThreads: threads });
  const feeds = { [manifest.input.name]: new ort.Tensor("uint8", noise(64), [64, ...sample]) };
  const rates = { bare: [] as number[], served: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    let runs = 0;
    for (; performance.now() - began < 1000 * seconds; runs++) await session.run(feeds, FETCHES);
    rates.bare.push((64_000 * runs) / (performance.now() - began));
    rates.served.push(64 * (await fire(at(server, infer(64, true), 16))).rate);
  }
  await session.release();
  const share = (100 * median(rates.served)) / median(rates.bare);
  const found = `${number(median(rates.served))} of ${number(median(rates.bare))}, ${share.toFixed(0)} %`;
  return `| rows a second, 64 a request, of those of bare \`session.run\` on ${threads} threads | ${found} | >= 70 % |`;
}

/** How long the server takes to say that it lives, while 64 connections ask for 64 rows each: median of the rounds. */
async function liveRow(server: Contestant): Promise<string> {
  const live: Request = { path: "/v2/health/live", method: "GET", headers: {}, body: "" };
  const hits: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const load = fire(at(server, infer(64, true), 64));
    hits.push((await fire({ ...at(server, live, 1), rate: 100 })).p99);
    await load;
  }
  const p99 = median(hits);
  return `| \`/v2/health/live\` under 64 connections of 64 rows, p99 | ${number(p99)} ms | <= 10 ms |`;
}

const all = await contestants(options.bundle, manifest.name, cpus().length, options.only);
try {
  const names = all.map(({ name }) => name);
  const head = [
    "request",
    "connections",
    ...names.flatMap((name) => [
      `${name}, a second`,
      "p50 / p99 ms",
      ...(name === "subspan" ? [] : ["ours x, p99 of theirs"]),
    ]),
  ];
  const rows: string[][] = [];
  for (const [what, request] of Object.entries(REQUESTS)) {
    const able = await Promise.all(all.map((one) => takes(one, request)));
    // Not measured: in its first seconds a program in JavaScript is still being compiled.
    for (const [i, one] of all.entries()) if (able[i]) await fire(at(one, request, Math.max(...counts)));
    for (const connections of counts) {
      const hits = await contest(
        all.filter((_, i) => able[i]),
        request,
        connections,
      );
      const own = hits.get("subspan") as Hit;
      const told = names.flatMap((name) => cells(hits.get(name), own).slice(0, name === "subspan" ? 2 : 3));
      rows.push([what, String(connections), ...told]);
      process.stderr.write(`${rows.at(-1)?.join("  ")}\n`);
    }
  }
  const [server] = all as [Contestant];
  const lines = [await bareRow(server), await liveRow(server)];
  const text = [
    ...[head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`),
    ...["", "| | found | goal |", "| --- | --- | --- |", ...lines],
  ].join("\n");
  console.log(text);
  if (options.write) {
    const page = readFileSync(PAGE, "utf8");
    const [from, to] = MARKS.map((mark) => page.indexOf(mark)) as [number, number];
    if (from < 0 || to < from) throw new Error(`${PAGE}: expected ${MARKS.join(" and ")}`);
    writeFileSync(PAGE, `${page.slice(0, from + MARKS[0].length)}\n${text}\n${page.slice(to)}`);
  }
} finally {
  await Promise.all(all.map((one) => one.stop()));
}
