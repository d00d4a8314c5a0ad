import { execFile, spawn } from "node:child_process";
import { copyFile, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { zipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { writeBundle } from "../../export/bundle.ts";
import { type Tensors, trace } from "../../export/index.ts";
import { type NpyArray, writeNpz } from "../../train/data/index.ts";
import { encodeNpy } from "../../train/data/npy.ts";
import { readRun } from "../../train/index.ts";
import { Random } from "../../train/random.ts";
import { toyContent, toyFunction, toyManifest } from "../export/toy-clusterer.ts";
import { TINY_SETTINGS, temporaryFolder, writeTiny } from "./tiny-cli.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (name: string) => folder.path(name);

/** Builds the program as a person has it, beside the modules of this project. */
beforeAll(async () => {
  folder = await temporaryFolder();
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const argv = [compiler, "-p", join(ROOT, "tsconfig.build.json"), "--outDir", at("dist"), "--noEmitOnError", "false"];
  await promisify(execFile)(process.execPath, argv).catch(() => {}); // types are checked elsewhere
  await copyFile(join(ROOT, "package.json"), at("package.json"));
  await symlink(join(ROOT, "node_modules"), at("node_modules"));
  await writeTiny(at("seen.npz"), 96, 1);
});
afterAll(() => folder.remove());

type NpyPart = Pick<NpyArray, "data" | "shape">;

const LONG = ["--set", "pretraining.epochs=400"];

/** Runs the built program, sending a signal once `marker` has come on stderr, and the next once that was heard. */
async function program(
  argv: readonly string[],
  { marker, signals = [], flags = [] }: { marker?: string; signals?: NodeJS.Signals[]; flags?: readonly string[] } = {},
) {
  const child = spawn(process.execPath, [...flags, at("dist/cli/main.js"), ...argv], { cwd: at(".") });
  const text = { stdout: "", stderr: "" };
  const left = [...signals];
  child.stdout.on("data", (chunk) => {
    text.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    text.stderr += chunk;
    const due = left.length === signals.length ? marker : "stopping";
    if (due !== undefined && text.stderr.includes(due)) for (const signal of left.splice(0, 1)) child.kill(signal);
  });
  const code = await new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.on("close", (code, signal) => resolve(code ?? signal)),
  );
  return { code, ...text };
}

const train = (out: string, more: readonly string[] = LONG) => [
  "train",
  "--data",
  "seen.npz",
  "--out",
  out,
  ...TINY_SETTINGS,
  ...more,
];

describe("assigning from a file", () => {
  /** A clusterer of the first four of 300 numbers. */
  beforeAll(async () => {
    const manifest = toyManifest({ input: { ...toyManifest().input, shape: ["N", 300] } });
    const first = ({ features }: Tensors) =>
      toyFunction()({ features: tf.slice(features as tf.Tensor2D, [0, 0], [-1, 4]) });
    const inputs = { features: { type: "float32", shape: ["N", 300] } } as const;
    const model = trace(first, { inputs, outputs: { label: "int64" } });
    await writeBundle(at("wide"), { ...(await toyContent()), manifest, model });
  });

  /** Most resident memory of a process, MB, that assigns so many rows of bytes: 1.2 kB each as float32. */
  async function memory(
    n: number,
    name: string,
    write: (path: string, x: NpyPart) => Promise<unknown>,
  ): Promise<number> {
    await write(at(name), { data: new Uint8Array(300 * n).map((_, i) => (i * 37) % 251), shape: [n, 300] });
    const report = 'process.on("exit", () => console.error("RSS " + process.resourceUsage().maxRSS))';
    const { code, stderr } = await program(["assign", "wide", name, "--device", "cpu", "--out", "labels.npz"], {
      flags: ["--import", `data:text/javascript,${encodeURIComponent(report)}`],
    });
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`${n.toLocaleString("en")} samples on cpu`);
    return Number(/RSS (\d+)/.exec(stderr)?.[1]) / 1024;
  }

  test.each([
    ["x.npy", (path: string, x: NpyPart) => writeFile(path, encodeNpy(x))],
    ["x.npz", (path: string, x: NpyPart) => writeFile(path, zipSync({ "x.npy": encodeNpy(x) }, { level: 1 }))],
  ])("takes no more memory for 200,000 rows of %s than for 10,000, give or take 100 MB", async (name, write) => {
    const few = await memory(10_000, name, write);
    expect((await memory(200_000, name, write)) - few).toBeLessThan(100);
  });
});

describe("the program", () => {
  test("starts", async () => {
    const { code, stdout } = await program(["--version"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("subspan/") });
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "saves on %s, exits with 130, says how to go on, and goes on",
    async (signal) => {
      const stopped = await program(train(signal), { marker: "pretraining 2/400", signals: [signal] });
      expect(stopped.code).toBe(130);
      expect(stopped.stderr).toContain("the state is saved");
      const [, hint = ""] = /go on with: node dist\/cli\/main\.js (.*)\n/.exec(stopped.stderr) ?? [];
      expect(hint).toBe(`train --resume --out ${signal}`);
      const resumed = await program([...hint.split(" "), "--max-time", "1s"]);
      expect(resumed.stderr).toContain("going on from phase 1, epoch ");
      expect(resumed.code).toBe(0);
      const log = await readFile(at(`${signal}/events.jsonl`), "utf8");
      expect(log).toContain('"type":"resumed"');
    },
  );

  test("dies at once of the second SIGINT", async () => {
    const { code } = await program(train("twice"), { marker: "pretraining 1/400", signals: ["SIGINT", "SIGINT"] });
    expect(["SIGINT", 130]).toContain(code); // 130 if it has saved before the second comes; shells say 130 for both
  });

  test("trains to the end for a reader that went away, and saves on SIGINT for one that dies of it too", async () => {
    const shell = (command: string) => spawn("bash", ["-c", command], { cwd: at("."), detached: true });
    const ended = (child: ReturnType<typeof shell>) => new Promise((resolve) => child.on("close", resolve));
    const quoted = (argv: readonly string[]) => `"${process.execPath}" dist/cli/main.js ${argv.join(" ")}`;
    await ended(shell(`${quoted(train("left", ["--json"]))} | head -1`));
    expect(await readFile(at("left/events.jsonl"), "utf8")).toContain('"type":"done"');
    const child = shell(`${quoted(train("tee"))} 2>&1 | tee log`);
    child.stdout.on("data", (chunk) => {
      if (String(chunk).includes("pretraining 3/400")) process.kill(-(child.pid as number), "SIGINT");
    });
    await ended(child);
    await vi.waitFor(async () => expect((await readRun(at("tee"))).state?.training.position.epoch).toBeGreaterThan(2));
    expect(await readFile(at("tee/events.jsonl"), "utf8")).toMatch(/"type":"saved"[^\n]*\n$/);
  });

  test("is content with a reader that stops reading", async () => {
    const child = spawn("sh", ["-c", `"${process.execPath}" dist/cli/main.js train --method dscdan --help | head -1`], {
      cwd: at("."),
    });
    let errors = "";
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    await new Promise((resolve) => child.on("close", resolve));
    expect(errors).toBe("");
  });
});

describe("a Job of shards", () => {
  test("whose processes are killed and started again gives what one process gives", async () => {
    await writeBundle(at("toy"), await toyContent());
    const random = new Random(1, "job");
    const data = Float32Array.from({ length: 4 * 5000 }, () => 8 * random.uniform());
    await writeNpz(at("x.npz"), { x: { data, shape: [5000, 4] } });
    const assign = (out: string, ...shard: string[]) => [
      "assign",
      "toy",
      "x.npz",
      "--device",
      "cpu",
      "--out",
      out,
      ...shard,
    ];
    const pod = (index: number) => assign(`labels-${index}.csv`, "--shard", `${index}/3`);
    for (const milliseconds of [400, 800, 1600]) {
      const child = spawn(process.execPath, [at("dist/cli/main.js"), ...pod(1)], { cwd: at(".") });
      const closed = new Promise((resolve) => child.on("close", resolve));
      setTimeout(() => child.kill("SIGKILL"), milliseconds);
      await closed;
    }
    for (const index of [0, 1, 2, 1]) expect((await program(pod(index))).code).toBe(0);
    await program(assign("whole.csv"));
    const shards = [0, 1, 2].map((index) => `labels-${index}.csv`);
    expect(await program(["merge", ...shards, "--out", "merged.csv"])).toMatchObject({ code: 0, stderr: "" });
    expect(await readFile(at("merged.csv"), "utf8")).toBe(await readFile(at("whole.csv"), "utf8"));
  });
});
