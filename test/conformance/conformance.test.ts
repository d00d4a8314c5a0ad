import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { outcome, type Run, SKIPS } from "./outcomes.ts";
import type { Test } from "./run.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const CACHE = path("../../node_modules/.cache");

/** An eighth of each file's tests; `npm run test:conformance` runs all. */
const EVERY = 8;
let tests: Test[];
let folder: string;

beforeAll(async () => {
  await mkdir(CACHE, { recursive: true });
  folder = await mkdtemp(join(CACHE, "conformance-"));
  await build({ configFile: path("vite.config.ts"), logLevel: "warn", build: { outDir: folder } });
  const json = join(folder, "outcomes.json");
  await promisify(execFile)(process.execPath, [join(folder, "main.js"), "--every", String(EVERY), "--json", json]);
  tests = JSON.parse(await readFile(json, "utf8"));
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("tfjs's own tests pass on compiled graphs", () => {
  expect(tests.filter(({ result }) => result === "failed")).toEqual([]);
  expect(tests.filter(({ result, executed }) => result === "passed" && executed).length).toBeGreaterThan(250);
});

test("what is skipped has one of the listed reasons", () => {
  const reasons = new Set(tests.filter(({ result }) => result === "skipped").map(({ reason }) => reason));
  expect(SKIPS.map(({ reason }) => reason)).toEqual(expect.arrayContaining([...reasons]));
});

test("a kernel without a lowering fails a test that takes any error for the one it expects", () => {
  const passed: Run = { status: "passed", errors: [], refusals: [], traced: true, executed: false };
  const missing = { ...passed, refusals: ["no lowering for kernel Atan2"] };
  expect(outcome({ test: "", reference: passed, ours: [passed, passed] })).toEqual({ result: "passed", reason: "" });
  expect(outcome({ test: "", reference: passed, ours: [passed, missing] })).toEqual({
    result: "failed",
    reason: "no lowering for kernel Atan2",
  });
});
