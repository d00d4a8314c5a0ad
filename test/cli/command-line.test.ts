import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runPlan } from "../../cli/commands/quickstart.ts";
import { declaredOptions, Options } from "../../cli/options.ts";
import { writeNpz } from "../../train/data/index.ts";
import { decodeNpy } from "../../train/data/npy.ts";
import { unzipMember, zipMembers } from "../../train/data/zip.ts";
import { type Images, noiseImages } from "../train/tiny.ts";
import { collector, subspan, TINY_SETTINGS, temporaryFolder, writeTiny } from "./tiny-cli.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (name: string) => folder.path(name);
const trainTiny = (data: string, out: string, ...more: string[]) =>
  subspan("train", "--data", at(data), "--out", at(out), ...TINY_SETTINGS, ...more);

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeTiny(at("seen.npz"), 96, 1);
  await writeTiny(at("unseen.npz"), 40, 2);
  await writeTiny(at("bare.npz"), 96, 1, "none");
  await writeTiny(at("shifted.npz"), 96, 1, "shifted");
});
afterAll(() => folder.remove());

describe("wrong use exits with 2, one line on stderr and nothing on stdout", () => {
  test.each([
    [["trian"], "no command trian. Did you mean train?"],
    [["serve"], "<bundles...> is missing"],
    [["cluster"], "no command cluster. There are quickstart, train, export, assign, merge, evaluate, serve, report, "],
    [["train", "--max-tim", "3m"], "unknown option --max-tim. Did you mean --max-time?"],
    [["train"], "--method is needed"],
    [["train", "--method", "dscdan"], "--data is needed"],
    [["train", "--method", "dscdan", "--data", "digits"], "--clusters is needed"],
    [["train", ...TINY_SETTINGS, "--data", "digitz"], "Did you mean digits?"],
    [
      ["train", ...TINY_SETTINGS, "--data", "digits", "--set", "pretraining.epoch=1"],
      "Did you mean pretraining.epochs?",
    ],
    [["train", ...TINY_SETTINGS, "--data", "digits", "--set", "noise=loud"], 'noise: expected a number, got "loud"'],
    [["train", ...TINY_SETTINGS, "--data", "digits", "--set", "latent=1.5"], "latent: expected an integer, got 1.5"],
    [["train", ...TINY_SETTINGS, "--data", "digits", "--set", "latent=0"], "latent: expected at least 2, got 0"],
    [["train", "--method", "dscdan", "--data", "digits", "--clusters", "9", "--preset", "quik"], "Did you mean quick?"],
    [
      ["train", ...TINY_SETTINGS, "--data", "digits", "--engine", "tfjs-node", "--device", "webgpu"],
      "engine tfjs-node computes on cpu, not on webgpu",
    ],
    [["train", "--device", "wasm"], "--device: expected cpu, cuda, webgpu, got wasm"],
    [["train", "--engine", "torch"], "--engine: expected onnx, tfjs-node, tfjs-node-gpu, got torch"],
    [["train", "--resume"], "--out is needed"],
    [["train", "--resume", "--overwrite"], "choose one"],
    [["train", "--config", "no-such.json"], "--config no-such.json: ENOENT"],
    [["train", "more"], "more is one argument too many"],
    [["export"], "<run> is missing"],
    [["export", "x", "--precision", "fp8"], "--precision: expected fp32, fp16, int8, got fp8"],
    [["export", "x", "--int8-activations"], "ask for it by --precision fp32,int8"],
    [["export", "x", "--storage", "pvc://m"], "--storage is not for the bundle of a run: give it with --target"],
    [
      ["export", "x", "--target", "triton", "--out", "m", "--precision", "int8"],
      "--precision is not for --target triton",
    ],
    [["export", "x.subspan", "--web", "site", "--parts"], "--parts is not for the site of a bundle"],
    [["export", "x", "--force"], "--force is for --web alone"],
    [["assign", "x"], "<source> is missing"],
    [["merge"], "<shards...> is missing"],
    [["merge", "a.csv", "b.csv"], "--out is needed"],
    [["assign", "x", "y", "--out", "labels.txt"], "expected a name that ends with .csv, .jsonl, .npz, .parquet"],
    [["assign", "x", "y", "--shard", "3/3"], "--shard: expected i/S"],
    [["evaluate", "x", "y", "--seen", "a", "--map", "b"], "choose one"],
    [["evaluate", "x", "y", "--nmi", "harmonic"], "--nmi: expected arithmetic, geometric, got harmonic"],
  ])("%j", async (argv, message) => {
    const { code, stdout, stderr } = await subspan(...argv);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split("\n").at(-1)).toMatch(/^subspan: /);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });
});

describe("failures exit with 1", () => {
  test.each([
    [["train", ...TINY_SETTINGS, "--data", "no/such.npz"], "no/such.npz: no such file or folder"],
    [["export", "no/such/run"], "no run is there"],
    [["assign", "no/such/bundle", "digits"], "no/such/bundle"],
  ])("%j", async (argv, message) => {
    const { code, stdout, stderr } = await subspan(...argv);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });

  test("--verbose shows where from", async () => {
    expect((await subspan("export", "no/such/run", "--verbose")).stderr).toMatch(/\n\s+at .*run-folder/);
  });
});

describe("help", () => {
  test("lists the commands that there are", async () => {
    const { code, stdout } = await subspan("--help");
    expect(code).toBe(0);
    for (const name of [
      "quickstart",
      "train",
      "export",
      "assign",
      "merge",
      "evaluate",
      "serve",
      "report",
      "convert",
      "doctor",
    ])
      expect(stdout).toContain(name);
  });

  test("without a command is wrong use", async () => expect((await subspan()).code).toBe(2));

  test.each(["quickstart", "train", "export", "assign", "merge", "evaluate", "serve", "report", "convert", "doctor"])(
    "%s has examples",
    async (name) => {
      const { code, stdout } = await subspan(name, "--help");
      expect(code).toBe(0);
      expect(stdout).toContain(`$ subspan ${name}`);
      expect(stdout.split("Examples:")[1]?.match(/\$ subspan/g)?.length).toBeGreaterThanOrEqual(2);
    },
  );

  test("lists a method's hyperparameters with their values in each preset", async () => {
    const { stdout } = await subspan("train", "--method", "dscdan", "--help");
    expect(stdout).toMatch(/pretraining\.epochs +\d+ +\d+ +\d+ +passes over the data/);
    expect(stdout).toMatch(/clusters +needed/);
  });

  test("--version", async () => expect((await subspan("--version")).stdout).toMatch(/^subspan\/\d+\.\d+\.\d+/));
});

describe("a clusterer", () => {
  let trained: Awaited<ReturnType<typeof subspan>>;
  beforeAll(async () => {
    trained = await trainTiny("seen.npz", "run");
    await subspan("export", at("run"), "--out", at("bundle"));
  });

  test("is trained; its scores come after, marked as such", () => {
    expect(trained.code).toBe(0);
    expect(trained.stdout).toContain("Scored after training, on labels it never saw");
    expect(trained.stdout).toContain(`subspan export ${at("run")}`);
    expect(trained.stderr).toContain("pretraining 2/2  loss ");
  });

  test("has no scores where the source has no labels", async () => {
    expect((await trainTiny("bare.npz", "bare")).stdout).not.toContain("ACC");
  });

  test("is the same whatever the labels are: they never reach training", async () => {
    const checkpoint = (run: string) => readFile(at(`${run}/checkpoints/last.safetensors`));
    expect((await trainTiny("shifted.npz", "shifted")).code).toBe(0);
    expect(await checkpoint("shifted")).toEqual(await checkpoint("run"));
    expect(await checkpoint("bare")).toEqual(await checkpoint("run"));
  });

  test("tells with --json in events and a result, all on stdout", async () => {
    const { stdout, stderr } = await trainTiny("seen.npz", "json", "--json");
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string });
    expect(stderr).toBe("");
    expect(events[0]?.type).toBe("phase");
    expect(events.at(-1)).toMatchObject({ type: "result", folder: at("json"), scores: { acc: expect.any(Number) } });
  });

  test("takes settings from a file, those on the command line over them", async () => {
    const settings = { clusters: 3, latent: 4, neighbours: 8, pretraining: { epochs: 1 }, joint: { rounds: 0 } };
    await writeFile(at("settings.json"), JSON.stringify(settings));
    const argv = ["--method", "dscdan", "--config", at("settings.json"), "--set", "pretraining.batch=48"];
    await subspan("train", "--data", at("seen.npz"), "--out", at("file"), ...argv, "--set", "latent=5");
    const { config, preset } = JSON.parse(await readFile(at("file/config.json"), "utf8"));
    expect(config).toMatchObject({ latent: 5, pretraining: { epochs: 1, batch: 48 }, joint: { rounds: 0 } });
    expect(preset).toBe("best");
  });

  test("that is finished is resumed by doing nothing", async () => {
    const { code, stdout } = await subspan("train", "--resume", "--out", at("run"));
    expect(code).toBe(0);
    expect(stdout).toContain("it was finished before");
  });

  test("is not resumed with other settings", async () => {
    const { code, stderr } = await subspan("train", "--resume", "--out", at("run"), "--set", "latent=7", "--seed", "4");
    expect(code).toBe(1);
    expect(stderr).toContain("seed (was 1, now 4), latent (was 6, now 7)");
  });

  test("is not exported over another bundle unasked, nor before it is finished", async () => {
    expect((await subspan("export", at("run"), "--out", at("bundle"))).code).toBe(2);
    expect((await subspan("export", at("run"), "--out", at("bundle"), "--overwrite")).code).toBe(0);
  });

  test("tells how large its clusters are", async () => {
    const { stdout } = await subspan("assign", at("bundle"), at("unseen.npz"));
    const sizes = stdout
      .trimEnd()
      .split("\n")
      .slice(1)
      .map((line) => Number(line.trim().split(/ +/)[1]));
    expect(sizes).toHaveLength(3);
    expect(sizes.reduce((a, b) => a + b)).toBe(40);
  });

  test("writes labels as CSV, JSON lines and NPZ, all the same", async () => {
    for (const ending of ["csv", "jsonl", "npz"]) {
      const { code, stdout } = await subspan("assign", at("bundle"), at("unseen.npz"), "--out", at(`labels.${ending}`));
      expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    }
    const [head, ...csv] = (await readFile(at("labels.csv"), "utf8")).trimEnd().split("\n");
    expect(head).toBe("index,label,confidence,novelty");
    const rows = csv.map((line) => line.split(",").map(Number));
    expect(rows.map(([index]) => index)).toEqual(Array.from({ length: 40 }, (_, i) => i));
    const jsonl = (await readFile(at("labels.jsonl"), "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(jsonl.map(({ index, label, confidence, novelty }) => [index, label, confidence, novelty])).toEqual(rows);
    const arrays = await npz(at("labels.npz"));
    ["index", "label", "confidence", "novelty"].forEach((name, column) => {
      expect(arrays[name]).toEqual(rows.map((row) => Math.fround(row[column] as number)));
    });
  });

  test("in shards assigns to the bit what it assigns in one, rows keeping their index", async () => {
    const shards: string[] = [];
    for (const i of [0, 1, 2]) {
      await subspan(
        "assign",
        at("bundle"),
        at("unseen.npz"),
        "--batch-size",
        "8",
        "--shard",
        `${i}/3`,
        "--out",
        at(`shard${i}.csv`),
      );
      shards.push(...(await readFile(at(`shard${i}.csv`), "utf8")).trimEnd().split("\n").slice(1));
    }
    await subspan("assign", at("bundle"), at("unseen.npz"), "--batch-size", "8", "--out", at("all.csv"));
    expect(shards).toEqual((await readFile(at("all.csv"), "utf8")).trimEnd().split("\n").slice(1));
  });

  test("refuses samples of another shape, and leaves no file", async () => {
    await writeFile(at("rows.csv"), "1,2\n3,4\n");
    const { code, stderr } = await subspan("assign", at("bundle"), at("rows.csv"), "--out", at("never.csv"));
    expect(code).toBe(1);
    expect(stderr).toContain("expected [N, 8, 8, 1] uint8");
    expect(await readdir(at("."))).not.toContain("never.csv");
  });

  test("is scored on samples it never saw by the classes of those it saw", async () => {
    const { code, stdout } = await subspan(
      "evaluate",
      at("bundle"),
      at("unseen.npz"),
      "--seen",
      at("seen.npz"),
      "--json",
    );
    expect(code).toBe(0);
    const scores = JSON.parse(stdout);
    expect(scores).toMatchObject({ acc: 1, nmi: 1, ari: 1, samples: 40, mappedOn: at("seen.npz") });
    expect(scores.calibrationError).toBeCloseTo(1 - scores.meanConfidence, 5);
    expect(scores).toMatchObject({ purity: 1, nmiMean: "arithmetic", nearest: { clusterAcc: 1, classAcc: 1 } });
    expect(scores.novelty).toBeUndefined();
  });

  test("is scored by how its novelty tells outliers, which need no labels, and by either NMI", async () => {
    await writeNpz(at("noise.npz"), {
      x: noiseImages(30) as { data: Uint8Array<ArrayBuffer>; shape: Images["shape"] },
    });
    const asked = ["evaluate", at("bundle"), at("shifted.npz"), "--outliers", at("noise.npz")];
    const { novelty, nmi, ...arithmetic } = JSON.parse((await subspan(...asked, "--json")).stdout);
    expect(novelty).toMatchObject({ outliers: at("noise.npz"), count: 30 });
    expect(novelty.auroc).toBeGreaterThan(0.95);
    const geometric = JSON.parse((await subspan(...asked, "--nmi", "geometric", "--json")).stdout);
    expect(geometric).toMatchObject({ nmiMean: "geometric", acc: arithmetic.acc, purity: arithmetic.purity });
    expect(geometric.nmi).toBeGreaterThanOrEqual(nmi);
    const { stdout } = await subspan(...asked);
    expect(stdout).toContain("an upper bound of ACC");
    expect(stdout).toContain("30 outliers of ");
  });

  test("is scored by a map that an evaluation printed", async () => {
    await writeFile(at("map.json"), (await subspan("evaluate", at("bundle"), at("seen.npz"), "--json")).stdout);
    const { stdout } = await subspan("evaluate", at("bundle"), at("unseen.npz"), "--map", at("map.json"));
    expect(stdout).toContain("100.0 %");
    const { map } = JSON.parse(await readFile(at("map.json"), "utf8"));
    await writeFile(at("wrong.json"), JSON.stringify({ 0: map[1], 1: map[2], 2: map[0] }));
    const wrong = await subspan("evaluate", at("bundle"), at("unseen.npz"), "--map", at("wrong.json"), "--json");
    expect(JSON.parse(wrong.stdout).acc).toBe(0);
    await writeFile(at("broken.json"), "[]");
    expect((await subspan("evaluate", at("bundle"), at("unseen.npz"), "--map", at("broken.json"))).code).toBe(2);
  });

  test.each([
    ['{"0": "7", "1": "8", "2": "9"}', /no class that .*other\.json names \(7, 8, 9\) is one of .*: ACC would be 0/],
    ['{"0": "0", "3": "1"}', /other\.json: names cluster 3, expected clusters 0 to 2/],
  ])("is not scored by the map of another: %s", async (map, message) => {
    await writeFile(at("other.json"), map);
    const { code, stdout, stderr } = await subspan(
      "evaluate",
      at("bundle"),
      at("unseen.npz"),
      "--map",
      at("other.json"),
    );
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });

  test("is scored against a folder of images as its network takes them, grey or not", async () => {
    const sharp = (await import("sharp")).default;
    const channel = Buffer.alloc(8 * 8, 100);
    for (const name of ["a/1", "b/2"]) {
      await mkdir(dirname(at(`pictures/${name}`)), { recursive: true });
      await sharp(channel, { raw: { width: 8, height: 8, channels: 1 } }).toFile(at(`pictures/${name}.png`));
    }
    const { code, stdout } = await subspan("evaluate", at("bundle"), at("pictures"), "--json");
    expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ samples: 2 })]);
    await sharp(Buffer.from([200, 0, 0].flatMap((c) => Array(64).fill(c))), {
      raw: { width: 8, height: 8, channels: 3 },
    }).toFile(at("pictures/b/3.png"));
    const coloured = await subspan("evaluate", at("bundle"), at("pictures"));
    expect(coloured.stderr).toMatch(/3\.png: has colours, expected a grey picture/);
  });

  test("cannot be scored against a source without labels", async () => {
    const { code, stderr } = await subspan("evaluate", at("bundle"), at("bare.npz"));
    expect(code).toBe(2);
    expect(stderr).toContain("bare.npz has no labels to score against");
    const seen = await subspan("evaluate", at("bundle"), at("unseen.npz"), "--seen", at("bare.npz"));
    expect([seen.code, seen.stderr]).toEqual([2, expect.stringContaining("bare.npz has no labels to score against")]);
  });

  test("is no longer exported once its data is other data", async () => {
    await copyFile(at("unseen.npz"), at("moved.npz"));
    const { code, stderr } = await subspan("export", at("run"), "--data", at("moved.npz"), "--out", at("b2"));
    expect(code).toBe(1);
    expect(stderr).toContain("was trained on seen.npz");
  });
});

test("quickstart trains, exports, assigns, scores both parts and writes its summary, again and again", async () => {
  const settings = {
    clusters: 3,
    latent: 6,
    neighbours: 8,
    pretraining: { epochs: 2 },
    joint: { rounds: 1, epochs: 1 },
  };
  const plan = { run: at("qs"), bundle: at("qb"), seen: at("seen.npz"), unseen: at("unseen.npz"), settings };
  for (const argv of [[], ["--seed", "1"]]) {
    const io = collector();
    const options = Options.parse(argv, declaredOptions(["--seed <n>", "--preset <p>", "--json"]));
    const { signal } = new AbortController();
    await runPlan(plan, { args: [], options, io, signal, program: "subspan" });
    expect(io.text.out).toMatch(/never seen +\d+\.\d % /);
    expect(io.text.out).toContain("What to try next");
  }
  const summary = JSON.parse(await readFile(at("qs/summary.json"), "utf8"));
  expect(summary).toMatchObject({ bundle: at("qb"), preset: "quick", seed: 1 });
  for (const part of [summary.seen, summary.unseen]) expect(Object.keys(part)).toEqual(["acc", "nmi", "ari"]);
  expect(Object.keys(summary.seconds)).toEqual(["train", "export", "assign", "total"]);
});

test("doctor finds what runs, and says how to get what does not", async () => {
  const { code, stdout } = await subspan("doctor", "--json");
  expect(code).toBe(0);
  const findings = JSON.parse(stdout) as { name: string; ok: boolean; remedy?: string }[];
  expect(findings.filter(({ name }) => ["node", "cpu"].includes(name)).every(({ ok }) => ok)).toBe(true);
  for (const { ok, remedy } of findings) expect(ok || remedy !== undefined).toBe(true);
  expect((await subspan("doctor")).stdout).toContain("onnxruntime-node");
});

async function npz(path: string): Promise<Record<string, number[]>> {
  const bytes = new Uint8Array(await readFile(path));
  const members = zipMembers(bytes, path).map((member) => [
    member.name.replace(".npy", ""),
    Array.from(decodeNpy(unzipMember(bytes, member, path), path).data as Float32Array),
  ]);
  return Object.fromEntries(members);
}
