import { cpSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErrorCode } from "../../runtime/errors.ts";
import { readCheckpoint } from "../../train/checkpoint.ts";
import {
  type RunEvent,
  type RunHooks,
  type RunOptions,
  readRun,
  resumeRun,
  startRun,
  type TrainingData,
} from "../../train/run.ts";
import { RunFolder } from "../../train/run-folder.ts";
import { keptEvents, metricsCsv } from "../../train/run-log.ts";
import { type Images, noiseImages, tinyImages } from "./tiny.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "subspan-run-"));
});
afterAll(() => rm(root, { recursive: true }));

const dataOf = (samples: TrainingData["samples"], name = "tiny"): TrainingData => ({
  name,
  samples,
  fingerprint: `of ${name}`,
});
const data = dataOf(tinyImages(96).samples);

const SETTINGS = {
  clusters: 3,
  latent: 6,
  pretraining: { epochs: 2, batch: 32 },
  joint: { rounds: 1, epochs: 2, batch: 32 },
  neighbours: 8,
};

const options = (name: string, over: Partial<RunOptions> = {}): RunOptions => ({
  folder: join(root, name),
  method: "dscdan",
  preset: "quick",
  settings: SETTINGS,
  seed: 1,
  source: "tiny.npz",
  data,
  ...over,
});

const session = { threads: 1 };
const start = (name: string, over: Partial<RunOptions> = {}, hooks: RunHooks = {}) =>
  startRun(options(name, over), { session, ...hooks });
const resume = (name: string, over: object = {}, hooks: RunHooks = {}) =>
  resumeRun({ folder: join(root, name), data, ...over }, { session, ...hooks });
const text = (name: string, file: string) => readFile(join(root, name, file), "utf8");
const bytes = (name: string, file = "checkpoints/last.safetensors") => readFile(join(root, name, file));
const exists = (name: string) =>
  readdir(join(root, name)).then(
    (files) => files.length > 0,
    () => false,
  );
const refused = (code: ErrorCode, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

/** Stops a run just after the k-th step of a phase. */
function stopAfter(phase: string, epoch: number, step: number): RunHooks {
  const controller = new AbortController();
  const onEvent = (event: RunEvent) => {
    if (event.type === "step" && event.phase === phase && event.epoch === epoch && event.step === step)
      controller.abort();
  };
  return { signal: controller.signal, onEvent };
}

const events = async (name: string): Promise<RunEvent[]> =>
  (await text(name, "events.jsonl"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

/** metrics.csv without the seconds. */
const rows = async (name: string) =>
  (await text(name, "metrics.csv")).split("\n").map((line) => line.split(",").toSpliced(3, 1));

/** What an event says but for time. */
const timeless = (event: RunEvent) =>
  JSON.parse(JSON.stringify(event, (key, value) => (/seconds|samplesPerSecond/i.test(key) ? undefined : value)));

describe("a run", () => {
  beforeAll(() => start("whole"));

  test("keeps what decides it, resolved", async () => {
    const config = JSON.parse(await text("whole", "config.json"));
    expect(config).toMatchObject({
      formatVersion: 1,
      method: "dscdan",
      preset: "quick",
      config: { clusters: 3, latent: 6, pretraining: { epochs: 2, learningRate: 0.001 } },
      seed: 1,
      engine: "onnx",
      device: "cpu",
      source: "tiny.npz",
      data: { name: "tiny", kind: "images", shape: [8, 8, 1], samples: 96, fingerprint: "of tiny" },
    });
  });

  test("says what it ran on, and no path", async () => {
    const env = await text("whole", "env.json");
    expect(JSON.parse(env)).toMatchObject({ node: process.versions.node, arch: process.arch });
    expect(env).not.toContain("/");
  });

  test("logs every step, epoch and save in order", async () => {
    const types = (await events("whole")).map(({ type }) => type);
    const epoch = ["step", "step", "step", "epoch", "saved"];
    const joint = ["phase", "clustering", ...epoch, ...epoch];
    const finish = ["finish", "finish", "finish", "finish"];
    expect(types).toEqual(["phase", ...epoch, ...epoch, ...joint, "finishing", ...finish, "done"]);
  });

  test("keeps a row of metrics an epoch, with the terms of all phases as columns", async () => {
    const [head, ...rows] = (await text("whole", "metrics.csv"))
      .trimEnd()
      .split("\n")
      .map((line) => line.split(","));
    const watched = ["phase", "epoch", "loss", "seconds", "changed", "effectiveRank", "moved"];
    expect(head).toEqual([...watched, "global", "assignment"]);
    expect(rows.map(([phase, epoch]) => `${phase} ${epoch}`)).toEqual([
      "pretraining 1",
      "pretraining 2",
      "joint 1 1",
      "joint 1 2",
    ]);
    for (const row of rows) expect(row).toHaveLength(9);
  });

  test("ends with a checkpoint that holds parameters, structure and labels", async () => {
    const { tensors, metadata } = await readCheckpoint(join(root, "whole/checkpoints/last.safetensors"));
    const kinds = new Set(Object.keys(tensors).map((name) => name.split("/")[0]));
    expect(kinds).toEqual(new Set(["parameter", "structure", "labels"]));
    expect(tensors.labels?.shape).toEqual([96]);
    expect(Object.keys(metadata).sort()).toEqual(["finished", "format", "position", "run"]);
  });

  test("is read back as it ended", async () => {
    const { state, settings } = await readRun(join(root, "whole"));
    expect(settings).toMatchObject({ clusters: 3 });
    expect(state?.finished?.sizes.reduce((a, b) => a + b)).toBe(96);
    expect(state?.finished?.metrics.agreement).toBeGreaterThan(0.5);
  });

  test("leaves no temporary file", async () => {
    const files = await readdir(join(root, "whole"), { recursive: true });
    expect(files.filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });

  test("twice with one seed gives equal checkpoints, with another seed others", async () => {
    await start("again");
    await start("other", { seed: 2 });
    expect(await bytes("again")).toEqual(await bytes("whole"));
    expect(await bytes("other")).not.toEqual(await bytes("whole"));
  });

  test.each([
    ["in the first step", "pretraining", 0, 0],
    ["in the middle of an epoch", "pretraining", 1, 1],
    ["between epochs", "pretraining", 1, 2],
    ["in self-training", "joint 1", 0, 1],
    ["at the end of self-training", "joint 1", 1, 2],
  ])("stopped %s and resumed ends bit-equal, with the same log", async (where, phase, epoch, step) => {
    const name = `stopped ${where}`;
    const stop = stopAfter(phase, epoch, step);
    await expect(start(name, {}, stop)).rejects.toEqual(refused("INTERRUPTED", /the state is saved/));
    expect((await resume(name)).before).toBe(false);
    expect(await bytes(name)).toEqual(await bytes("whole"));
    const told = (all: RunEvent[]) =>
      all.filter(({ type }) => ["step", "epoch", "clustering"].includes(type)).map(timeless);
    expect(told(await events(name))).toEqual(told(await events("whole")));
    expect(await rows(name)).toEqual(await rows("whole"));
  });

  test.each([
    ["after a save", "pretraining", 1, 1],
    ["before the first save", "pretraining", 0, 1],
    ["in self-training", "joint 1", 1, 0],
  ])(
    "killed %s and resumed ends bit-equal; what was logged beyond the checkpoint is forgotten",
    async (where, phase, epoch, step) => {
      const name = `killed ${where}`;
      const onEvent = (event: RunEvent) => {
        if (event.type === "step" && event.phase === phase && event.epoch === epoch && event.step === step)
          cpSync(join(root, "source of kill"), join(root, name), { recursive: true });
      };
      await start("source of kill", { overwrite: true }, { onEvent });
      await resume(name);
      expect(await bytes(name)).toEqual(await bytes("whole"));
      const kept = (all: RunEvent[]) => all.filter(({ type }) => ["step", "epoch"].includes(type)).map(timeless);
      expect(kept(await events(name))).toEqual(kept(await events("whole")));
    },
  );

  test("goes on from the checkpoint before, where the last is damaged, and says so", async () => {
    await expect(start("damaged", {}, stopAfter("joint 1", 1, 0))).rejects.toThrow();
    const path = join(root, "damaged/checkpoints/last.safetensors");
    const damaged = await readFile(path);
    damaged[damaged.length >> 1]! ^= 1;
    await writeFile(path, damaged);
    const seen: RunEvent[] = [];
    await resume("damaged", {}, { onEvent: (event) => seen.push(event) });
    expect(seen[0]).toMatchObject({
      type: "resumed",
      problem: expect.stringContaining("damaged"),
      environment: { node: process.versions.node },
    });
    expect(await bytes("damaged")).toEqual(await bytes("whole"));
  });

  test("is not trained by two processes at once; what a process left that is no more is taken over", async () => {
    await expect(start("locked", {}, stopAfter("pretraining", 0, 0))).rejects.toThrow();
    const lock = join(root, "locked/lock.json");
    const by = (pid: number, host = hostname()) => writeFile(lock, JSON.stringify({ pid, host }));
    await by(process.ppid);
    await expect(resume("locked")).rejects.toEqual(refused("RUN_INVALID", /is being trained by process \d+; if that/));
    const again = start("locked", { overwrite: true });
    await expect(again).rejects.toEqual(refused("RUN_INVALID", /is being trained by process \d+/));
    await by(1, "elsewhere");
    await expect(resume("locked")).rejects.toEqual(refused("RUN_INVALID", /by process 1 on elsewhere/));
    await by(2 ** 22 + 1); // above what Linux numbers processes with
    await resume("locked");
    expect(await bytes("locked")).toEqual(await bytes("whole"));
    expect(await readdir(join(root, "locked"))).not.toContain("lock.json");
  });

  test("is trained by one training of this process at a time, and stays where it is when the process goes elsewhere", async () => {
    const twice = await Promise.allSettled([start("twice"), start("twice")]);
    expect(twice.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const reason = twice.find((one) => one.status === "rejected")?.reason;
    expect(reason).toEqual(refused("RUN_INVALID", /twice: is being trained by this process$/));
    expect(await bytes("twice")).toEqual(await bytes("whole"));
    await expect(start("twice", {}, stopAfter("pretraining", 0, 0))).rejects.toEqual(
      refused("USAGE", /holds a run already/),
    );
    const folder = new RunFolder("elsewhere");
    expect(folder.path).toBe(join(process.cwd(), "elsewhere"));
  });

  test("with a config.json that was changed, or another run's checkpoint, is refused", async () => {
    await expect(start("changed", {}, stopAfter("pretraining", 1, 0))).rejects.toThrow();
    const config = await text("changed", "config.json");
    for (const [was, now] of [
      ['"latent": 6', '"latent": 5'],
      ['"seed": 1', '"seed": 2'],
    ] as const) {
      expect(config).toContain(was);
      await writeFile(join(root, "changed/config.json"), config.replace(was, now));
      await expect(resume("changed")).rejects.toEqual(
        refused("RUN_INVALID", /is not of the run that config.json tells/),
      );
    }
    await writeFile(join(root, "changed/config.json"), config);
    await resume("changed");
    expect(await bytes("changed")).toEqual(await bytes("whole"));
  });

  test("that is finished stays as it is when resumed", async () => {
    const [checkpoint, log] = [await bytes("whole"), await text("whole", "events.jsonl")];
    const { before, labels } = await resume("whole");
    expect(before).toBe(true);
    expect(labels).toHaveLength(96);
    expect(await bytes("whole")).toEqual(checkpoint);
    expect(await text("whole", "events.jsonl")).toBe(log);
  });

  test("resumed with other settings is refused, naming each", async () => {
    const other = { settings: { pretraining: { epochs: 5 } }, seed: 9, preset: "best" as const };
    const message = /preset \(was "quick", now "best"\), seed \(was 1, now 9\), pretraining.epochs \(was 2, now 5\)/;
    await expect(resume("whole", other)).rejects.toEqual(refused("RUN_INVALID", message));
    await expect(resume("whole", { method: "udll" })).rejects.toEqual(refused("RUN_INVALID", /method \(was "dscdan"/));
  });

  test("resumed with the settings it has is no change", async () => {
    expect((await resume("whole", { settings: SETTINGS, seed: 1, preset: "quick", method: "dscdan" })).before).toBe(
      true,
    );
  });

  test("resumed on other data is refused", async () => {
    const other = { data: dataOf(noiseImages(96), "noise") };
    await expect(resume("whole", other)).rejects.toEqual(refused("RUN_INVALID", /was trained on tiny .* not noise/));
  });

  test.each([
    [{ engine: "cuda" }, "USAGE", /^engine: expected onnx, tfjs-node, tfjs-node-gpu, got cuda/],
    [{ preset: "fast" }, "USAGE", /^preset: expected quick, best, paper, got fast/],
    [{ source: undefined }, "USAGE", /^a run: .*expected string, received undefined.*source/],
    [
      { settings: { clusters: 3, "pretraining.epochs": 1 } },
      "USAGE",
      /write pretraining.epochs as \{ "pretraining": \{ "epochs"/,
    ],
    [
      { data: { ...dataOf(noiseImages(96), "noise"), samples: { ...noiseImages(96), shape: [97, 8, 8, 1] } } },
      "SHAPE_MISMATCH",
      /^noise: expected 6208 numbers, of \[97,8,8,1\], got 6144/,
    ],
  ] as const)("is not begun with %j", async (changes, code, message) => {
    await expect(start("never", changes as never)).rejects.toEqual(refused(code, message));
    expect(await readdir(root)).not.toContain("never");
  });

  test("is not replaced unasked", async () => {
    await expect(start("whole")).rejects.toEqual(refused("USAGE", /holds a run already/));
  });
});

test.each(["quick", "best", "paper"] as const)(
  "preset %s trains through all its phases to a clusterer",
  async (preset) => {
    const brief = { epochs: 1, batch: 32 };
    const settings = { clusters: 3, pretraining: brief, spectral: { batch: 32 }, joint: { ...brief, rounds: 1 } };
    const phases: string[] = [];
    const onEvent = (event: RunEvent) => {
      if (event.type === "epoch") phases.push(event.phase);
    };
    const { sizes } = await start(preset, { preset, settings }, { onEvent });
    expect(new Set(phases)).toEqual(
      new Set(["pretraining", ...(preset === "paper" ? ["spectral net"] : []), "joint 1"]),
    );
    expect(sizes.reduce((a, b) => a + b)).toBe(96);
  },
);

test.each([3, 4])("%d samples are enough for 3 clusters", async (n) => {
  const { labels } = await start(`${n} samples`, { data: dataOf(tinyImages(n).samples) });
  expect(labels).toHaveLength(n);
});

test("whatever is no run is never replaced", async () => {
  await mkdir(join(root, "mine"));
  await writeFile(join(root, "mine/notes.txt"), "mine");
  await expect(start("mine", { overwrite: true })).rejects.toEqual(refused("USAGE", /no run/));
  await writeFile(join(root, "file"), "mine");
  await expect(start("file", { overwrite: true })).rejects.toEqual(refused("USAGE", /is a file/));
  expect(await text("mine", "notes.txt")).toBe("mine");
});

test("a run of other settings replaces one where that is asked for", async () => {
  await start("replaced", { seed: 5 });
  await start("replaced", { seed: 1, overwrite: true });
  expect(JSON.parse(await text("replaced", "config.json")).seed).toBe(1);
});

test("a run that fails before its first step replaces none", async () => {
  await start("kept", { seed: 5 });
  const failing = { data: dataOf(tinyImages(96).samples), seed: 6, overwrite: true };
  const fail = (event: RunEvent) => {
    if (event.type === "phase") throw new Error("no memory");
  };
  await expect(start("kept", failing, { onEvent: fail })).rejects.toThrow("no memory");
  expect((await readRun(join(root, "kept"))).config.seed).toBe(5);
  expect((await readdir(root)).filter((name) => name.includes(".kept"))).toEqual([]);
});

test("where there is no run there is nothing to resume", async () => {
  await expect(resume("nowhere")).rejects.toEqual(refused("RUN_INVALID", /no run is there/));
});

test("time that is up ends a run after an epoch, which is said; with more time it goes on to the same end", async () => {
  const { structure } = await start("late", {}, { maxMilliseconds: 0 });
  expect(Object.keys(structure)).toContain("landmarks");
  const warning = "the time was over: it ended in pretraining after epoch 1 of 2, without joint 1";
  expect(await events("late")).toContainEqual({ type: "cut", message: warning });
  expect((await readRun(join(root, "late"))).state?.finished).toBeDefined();
  for (const maxMilliseconds of [0, undefined]) {
    const { before } = await resume("late", {}, maxMilliseconds === undefined ? {} : { maxMilliseconds });
    expect(before).toBe(false);
  }
  expect(await bytes("late")).toEqual(await bytes("whole"));
  expect(await rows("late")).toEqual(await rows("whole"));
  expect((await resume("late")).before).toBe(true);
});

describe("what cannot be trained is refused before anything is written", () => {
  const { samples } = tinyImages(96);
  const sized = (h: number, w: number): Images => ({
    kind: "images",
    data: Uint8Array.from({ length: 96 * h * w }, (_, i) => i % 251),
    shape: [96, h, w, 1],
  });
  const many = dataOf(tinyImages(120).samples);
  test.each<[string, Partial<RunOptions>, ErrorCode, RegExp]>([
    ["images of 10 x 8", { data: dataOf(sized(10, 8)) }, "SHAPE_MISMATCH", /multiples of 4, got images \[10,8,1\]/],
    [
      "features",
      { data: dataOf({ kind: "features", data: Float32Array.from({ length: 480 }, (_, i) => i), shape: [96, 5] }) },
      "SHAPE_MISMATCH",
      /expected images .* got features \[5\]/,
    ],
    [
      "more clusters than samples",
      { settings: { clusters: 200 } },
      "TOO_FEW_SAMPLES",
      /96 samples, expected at least 200/,
    ],
    ["more eigenvectors than samples", { settings: { clusters: 3, eigenvectors: 97 } }, "TOO_FEW_SAMPLES", /97/],
    ["more clusters than landmarks", { settings: { clusters: 101, landmarks: 100 }, data: many }, "USAGE", /landmarks/],
    ["one cluster", { settings: { clusters: 1 } }, "USAGE", /clusters/],
    ["no number of clusters", { settings: {} }, "USAGE", /clusters/],
    [
      "an unknown hyperparameter",
      { settings: { ...SETTINGS, pretraining: { epoch: 1 } } },
      "USAGE",
      /pretraining.epoch\. Did you mean pretraining.epochs/,
    ],
    ["a hyperparameter out of range", { settings: { ...SETTINGS, joint: { epochs: -1 } } }, "USAGE", /joint.epochs/],
    ["a seed that 32 bits do not hold", { seed: 2 ** 32 }, "USAGE", /seed: expected an integer from 0 to 4294967295/],
    ["an unknown method", { method: "dscdam" }, "USAGE", /method/],
    ["a run stopped before it began", {}, "INTERRUPTED", /nothing is written/],
  ])("%s", async (name, over, code, message) => {
    const signal = code === "INTERRUPTED" ? { signal: AbortSignal.abort() } : {};
    await expect(start(name, { data: dataOf(samples), ...over }, signal)).rejects.toEqual(refused(code, message));
    expect(await exists(name)).toBe(false);
  });
});

test("metrics.csv has what was watched, and quotes a term's column where its name needs it", () => {
  const row = {
    type: "epoch",
    phase: 'a "b", c',
    epoch: 0,
    epochs: 1,
    loss: 1,
    terms: { "x,y": 1 },
    seconds: 2,
    effectiveRank: 3.5,
  } as const;
  const head = 'phase,epoch,loss,seconds,changed,effectiveRank,moved,"x,y"';
  expect(metricsCsv([row])).toBe(`${head}\n"a ""b"", c",1,1,2.000,,3.5,,1\n`);
});

test("a log that was cut off within a line is kept up to that line", () => {
  const phase = JSON.stringify({ type: "phase", phase: "a", index: 0, phases: 1, epochs: 1 });
  const { lines } = keptEvents(`${phase}\n{"type":"st`, { phase: 0, epoch: 0, step: 5 }, true);
  expect(lines).toBe(`${phase}\n`);
});
