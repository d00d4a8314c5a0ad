import { readdir, readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { basename, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

type Folder = "runtime" | "models" | "export" | "train" | "serve" | "web" | "cli";

interface Rule {
  /** Our folders it may import, its own aside. */
  readonly may: readonly Folder[];
  /** Packages it must not see, and the files (by name) that may all the same. */
  readonly mustNotSee: readonly { readonly what: string; readonly matches: RegExp; readonly but?: RegExp }[];
}

const TFJS = { what: "tfjs", matches: /^@tensorflow\/|^tfjs/ };
const ONNX = { what: "ONNX", matches: /onnx/ };
const NODE = { what: "Node built-ins", matches: new RegExp(`^(node:.*|(${builtinModules.join("|")})(/.*)?)$`) };

/** STYLE.md's table "Who imports whom". That runtime/ sees no DOM is left to review: globals are not imported. */
const RULES: Readonly<Record<Folder, Rule>> = {
  runtime: {
    may: [],
    mustNotSee: [
      TFJS,
      { ...NODE, but: /^node/ },
      { what: "ONNX Runtime for Node", matches: /^onnxruntime-node/, but: /^node/ },
      { what: "ONNX Runtime for browsers", matches: /^onnxruntime-web/, but: /^web/ },
    ],
  },
  models: { may: ["runtime"], mustNotSee: [ONNX] },
  export: { may: ["runtime"], mustNotSee: [] },
  train: { may: ["models", "export", "runtime"], mustNotSee: [] },
  serve: { may: ["runtime"], mustNotSee: [TFJS] },
  web: { may: ["runtime"], mustNotSee: [TFJS] },
  cli: { may: ["runtime", "models", "export", "train", "serve", "web"], mustNotSee: [] },
};

/** What our package's own name and its subpaths stand for. */
const OWN = /^subspan(?:\/(.*))?$/;

/** Path from the project's root, "/" between folders -> text. */
type Sources = ReadonlyMap<string, string>;

const CLAUSE = String.raw`(?:type\s+)?[\w$*{},\s]+?\s+from\s*`;
const STATEMENT = new RegExp(String.raw`^\s*(?:import|export)\s*(?:${CLAUSE})?"([^"]+)"`, "gm");
const CALL = /\b(?:import|require|require\.resolve)\(\s*"([^"]+)"/g;
const FILE = /new URL\(\s*"(\.[^"]+)",\s*import\.meta\.url/g;
/** import(...) of what is not written there could be anything. */
const UNKNOWN = /\bimport\(\s*(?!")[^)\s]/;

function withoutComments(text: string): string {
  return text.replace(/(?<=^|\s)\/\*[\s\S]*?\*\/|(^|[^:"'`])\/\/.*$/gm, "$1");
}

/** All that a file names: imports and re-exports, of types too, dynamic imports, require, worker files. */
function specifiers(text: string): string[] {
  const code = withoutComments(text);
  return [STATEMENT, CALL, FILE].flatMap((pattern) => Array.from(code.matchAll(pattern), ([, name]) => name as string));
}

function resolved(path: string, specifier: string): string {
  return posix.join(posix.dirname(path), specifier);
}

/** The folder of ours that an import reaches; undefined for packages and for files of the root, such as package.json. */
function target(path: string, specifier: string): string | undefined {
  const own = OWN.exec(specifier);
  if (own) return own[1] === "package.json" ? undefined : (own[1] ?? "runtime");
  if (!specifier.startsWith(".")) return undefined;
  const [folder, ...rest] = resolved(path, specifier).split("/");
  return rest.length === 0 ? undefined : folder;
}

/** Every breach of the table, as "file: what it may not import". */
function violations(sources: Sources): string[] {
  const found: string[] = [];
  for (const [path, text] of sources) {
    const folder = path.split("/")[0] as Folder;
    const { may, mustNotSee } = RULES[folder];
    if (UNKNOWN.test(withoutComments(text))) found.push(`${path}: an import() that nobody can check`);
    for (const specifier of specifiers(text)) {
      const to = target(path, specifier);
      if (to !== undefined && to !== folder && !may.includes(to as Folder))
        found.push(`${path}: ${specifier} (${to}/)`);
      if (specifier.startsWith(".") || OWN.test(specifier)) continue;
      const unseen = mustNotSee.find((rule) => rule.matches.test(specifier) && !rule.but?.test(basename(path)));
      if (unseen) found.push(`${path}: ${specifier} (${unseen.what})`);
    }
  }
  return found;
}

/** Imports of files that are not there. */
/** A worker's file goes by the name it is built to, ".js". */
function dangling(sources: Sources): string[] {
  const there = (path: string) => sources.has(path) || sources.has(path.replace(/\.js$/, ".ts"));
  return Array.from(sources).flatMap(([path, text]) =>
    specifiers(text)
      .filter((name) => /^\.{1,2}\/.*\.(ts|js)$/.test(name))
      .filter((name) => RULES[resolved(path, name).split("/")[0] as Folder] && !there(resolved(path, name)))
      .map((name) => `${path}: ${name}`),
  );
}

/** Rings of files that import each other, each once, as the path round it. Imports of types count: they bind design too. */
function cycles(sources: Sources): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]) => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push([...trail.slice(at), path].join(" -> "));
    if (at >= 0 || done.has(path)) return;
    const code = withoutComments(sources.get(path) as string);
    const names = [STATEMENT, CALL].flatMap((pattern) =>
      Array.from(code.matchAll(pattern), ([, name]) => name as string),
    );
    for (const name of names.filter((name) => name.startsWith("."))) {
      if (sources.has(resolved(path, name))) walk(resolved(path, name), [...trail, path]);
    }
    done.add(path);
  };
  for (const path of sources.keys()) walk(path, []);
  return found;
}

const ROOT = fileURLToPath(new URL("..", import.meta.url));

async function readSources(): Promise<Sources> {
  const sources = new Map<string, string>();
  for (const folder of Object.keys(RULES)) {
    const entries = await readdir(join(ROOT, folder), { recursive: true }).catch(() => [] as string[]);
    for (const entry of entries.filter((name) => /\.(ts|tsx|js|mjs)$/.test(name)).sort()) {
      const path = posix.join(folder, entry.replaceAll("\\", "/"));
      sources.set(path, await readFile(join(ROOT, path), "utf8"));
    }
  }
  return sources;
}

describe("the project's files", async () => {
  const sources = await readSources();

  test("are found, with their imports", () => {
    expect(sources.size).toBeGreaterThan(50);
    expect(specifiers(sources.get("export/trace.ts") as string)).toContain("@tensorflow/tfjs-core");
    expect(specifiers(sources.get("runtime/node-session.ts") as string)).toContain("onnxruntime-node");
  });

  test("import only what the table allows", () => expect(violations(sources)).toEqual([]));

  test("import files that are there", () => expect(dangling(sources)).toEqual([]));

  test("never import each other in a ring", () => expect(cycles(sources)).toEqual([]));
});

describe("the checker", () => {
  const check = (path: string, text: string) => violations(new Map([[path, text]]));

  test.each([
    ["runtime/index.ts", 'import type { Model } from "../export/index.ts";'],
    ["runtime/index.ts", 'import * as tf from "@tensorflow/tfjs-core";'],
    ["runtime/index.ts", 'import "node:fs";'],
    ["runtime/index.ts", 'import { readFile } from "fs/promises";'],
    ["runtime/index.ts", 'export { InferenceSession } from "onnxruntime-node";'],
    ["runtime/node.ts", 'const ort = await import("onnxruntime-web/webgpu");'],
    ["models/losses.ts", 'import type { Tensor } from "onnxruntime-common";'],
    ["models/dscdan/index.ts", 'import { trace } from "../../export/index.ts";'],
    ["export/trace.ts", 'import {\n  type Parameters,\n  encode,\n} from "../models/index.ts";'],
    ["export/lowerings/linalg.ts", 'export * from "../../train/step.ts";'],
    ["train/loop.ts", 'const { serve } = await import("../serve/index.ts");'],
    ["serve/app.ts", 'import { methodNamed } from "subspan/models";'],
    ["serve/workers.ts", 'new Worker(new URL("../train/worker.ts", import.meta.url));'],
    ["web/main.ts", 'type Tf = typeof import("@tensorflow/tfjs-core");'],
    ["cli/main.ts", 'import { draws } from "../test/export/run-model.ts";'],
    ["runtime/index.ts", "await import(name);"],
  ])("%s may not hold %s", (path, text) => expect(check(path, text)).toHaveLength(1));

  test.each([
    ["runtime/index.ts", 'import type { Tensor } from "onnxruntime-common";\nimport { a } from "./errors.ts";'],
    ["runtime/node-image.ts", 'import { readFile } from "node:fs/promises";'],
    ["runtime/web.ts", 'await import("onnxruntime-web/wasm");'],
    ["models/dscdan/index.ts", 'import { infoNce } from "../losses.ts";\nimport { z } from "zod";'],
    ["train/step.ts", 'import { trace } from "../export/index.ts";\nimport { adam } from "../models/index.ts";'],
    ["serve/app.ts", 'import { loadClusterer } from "subspan";'],
    ["cli/main.ts", 'import manifest from "../package.json" with { type: "json" };'],
    ["serve/app.ts", '/** import { trace } from "../export/index.ts"; */\n// import "@tensorflow/tfjs-core";'],
  ])("%s may hold %s", (path, text) => expect(check(path, text)).toEqual([]));

  test("names a ring and a file that is not there", () => {
    const ring = new Map([
      ["train/a.ts", 'import { b } from "./b.ts";'],
      ["train/b.ts", 'import type { C } from "./c.ts";'],
      ["train/c.ts", 'const a = await import("./a.ts");\nimport "./gone.ts";'],
    ]);
    expect(cycles(ring)).toEqual(["train/a.ts -> train/b.ts -> train/c.ts -> train/a.ts"]);
    expect(dangling(ring)).toEqual(["train/c.ts: ./gone.ts"]);
  });
});
