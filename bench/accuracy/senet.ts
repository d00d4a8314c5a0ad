import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";
import type { Samples } from "../../runtime/samples.ts";
import { Random } from "../../train/random.ts";
import { affinityClustering } from "../../train/spectral/index.ts";
import { symmetrised } from "../../train/spectral/sparse.ts";
import { isTorchThere, PYTHON } from "../step/contest.ts";
import { classesOf } from "./ours.ts";
import type { Clusters, PeerWork } from "./peers.ts";

/**
 * What `--set` may change: its input, the samples its dictionary has in training, and what is made of the coefficients, by default
 * as published: |c| for CIFAR-10, neighbours in it for grey images.
 */
const settingsSchema = z
  .object({
    input: z.enum(["scattering", "pixels"]).default("scattering"),
    dictionary: z.int().min(2).default(1000),
    affinity: z.enum(["neighbours", "symmetric"]).optional(),
  })
  .strict();

const answerSchema = z.union([
  z.object({ error: z.string() }),
  z.object({ entries: z.int(), steps: z.int(), trainSeconds: z.number() }).loose(),
]);

/** SENet in PyTorch (bench/peers/senet.py) as far as its affinity; then our spectral clustering, with SENet's eigenvectors. */
export async function senet({ data, settings, seed, seconds }: PeerWork): Promise<Clusters> {
  const { samples } = data;
  const clusters = classesOf(data);
  const colour = samples.kind === "images" && samples.shape[3] === 3;
  const own = { affinity: colour ? "symmetric" : "neighbours", ...settingsSchema.parse(settings) };
  if (!isTorchThere()) execFileSync("bash", ["bench/environment.sh"], { stdio: "inherit" });
  const folder = await mkdtemp(join(tmpdir(), "subspan-senet-"));
  try {
    const file = join(folder, "samples");
    await writeFile(file, bytesOf(samples));
    const answer = await ask({ ...own, [samples.kind]: file, shape: samples.shape, seconds, seed, out: folder });
    console.error(`senet: ${JSON.stringify(answer)}`);
    const columns = new Int32Array(await buffer(join(folder, "columns.i32")));
    const weights = Float64Array.from(new Float32Array(await buffer(join(folder, "weights.f32"))));
    const affinity = symmetrised(samples.shape[0], columns, weights, "mean");
    const eigenvectors = own.affinity === "neighbours" ? clusters + 5 : clusters;
    const found = affinityClustering(affinity, { clusters, eigenvectors, random: new Random(seed, "structure") });
    return { labels: found.labels, trainSeconds: answer.trainSeconds };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** One question, one answer, each a line of JSON. @throws {Error} with what the peer says is wrong. */
async function ask(question: object) {
  const peer = spawn(PYTHON, ["-B", "bench/peers/senet.py"], { stdio: ["pipe", "pipe", "inherit"] });
  peer.stdin.on("error", () => {}); // of a process that has ended; that is told below
  peer.stdin.end(`${JSON.stringify(question)}\n`);
  const [answer, [code]] = await Promise.all([text(peer.stdout), once(peer, "exit")]);
  if (answer === "") throw new Error(`senet.py ended with ${code}`);
  const parsed = answerSchema.parse(JSON.parse(answer));
  if ("error" in parsed) throw new Error(String(parsed.error));
  return parsed;
}

const bytesOf = ({ data }: Samples) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

async function buffer(path: string): Promise<ArrayBuffer> {
  const bytes = await readFile(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}
