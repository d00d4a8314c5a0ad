/**
 * What must be there before tfjs's test files are: jasmine's globals, the backends, and a note of which file a spec is from
 * (vite.config.ts has each file call `testFile` first).
 */
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import { setTestEnvs } from "@tensorflow/tfjs-core/dist/jasmine_util.js";
import jasmineCore, { type Spec } from "jasmine-core";
import { registerTracer } from "../../export/backend.ts";
import { type Given, LazyBackend, Log } from "./lazy-backend.ts";

/** The backends that every spec runs on, by their names in tfjs: the reference, and ours in both forms. */
export const REFERENCE = "cpu";
export const OURS: Readonly<Record<string, Given>> = {
  "subspan-inputs": "inputs",
  "subspan-constants": "constants",
};

/** What the spec that runs asked of our backends. */
export const log = new Log();
for (const [name, given] of Object.entries(OURS)) registerTracer(name, () => new LazyBackend(given, log));
setTestEnvs([REFERENCE, ...Object.keys(OURS)].map((name) => ({ name, backendName: name, isDataSync: true })));

const jasmine = jasmineCore.boot();
jasmine.DEFAULT_TIMEOUT_INTERVAL = 20_000;
export const jasmineEnv = jasmine.getEnv();
// tfjs asks for whole stacks, which take longer to write than most specs to run.
Error.stackTraceLimit = 10;

/** Every spec that was declared, and the file it is from, such as "ops/abs". */
export const declared: { readonly file: string; readonly spec: Spec }[] = [];

type Declare = (name: string, ...rest: unknown[]) => Spec;
const globals = globalThis as unknown as Record<"it" | "xit", Declare> & { testFile(name: string): void };
let file = "";
globals.testFile = (name) => {
  file = name;
};
for (const form of ["it", "xit"] as const) {
  const declare = globals[form];
  globals[form] = (...args) => {
    const spec = declare(...args);
    declared.push({ file, spec });
    return spec;
  };
}
