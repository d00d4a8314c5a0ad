import type { Spec } from "jasmine-core";
import { declared, jasmineEnv, log, OURS, REFERENCE } from "./boot.ts";
import "@tensorflow/tfjs-core/dist/tests.js";
import { type Outcome, outcome, type Run } from "./outcomes.ts";

/** One of tfjs's specs, whichever backends it runs on. */
export interface Test extends Outcome {
  /** The file it is from, such as "ops/abs". */
  readonly file: string;
  readonly name: string;
  /** Whether ONNX Runtime ran for it. */
  readonly executed: boolean;
}

const BACKENDS = [REFERENCE, ...Object.keys(OURS)];
const MARK = new RegExp(` (${BACKENDS.join("|")}) \\{\\}`, "g");

/**
 * A spec's name without a backend's, and that backend ("" if it runs on none); undefined for one that is declared inside a
 * suite of another backend, as describeWithFlags within describeWithFlags does.
 */
function place(spec: Spec): { readonly name: string; readonly backend: string } | undefined {
  const fullName = spec.getFullName();
  const [backend = "", ...others] = new Set(Array.from(fullName.matchAll(MARK), ([, name]) => name as string));
  if (others.length > 0) return undefined;
  return { name: fullName.replaceAll(MARK, "").replaceAll(/\s+/g, " ").trim(), backend };
}

/** Every spec's ids: file -> name -> backend -> id. A name that is declared twice counts up. */
function places(): Map<string, Map<string, Map<string, string>>> {
  const files = new Map<string, Map<string, Map<string, string>>>();
  for (const { file, spec } of declared) {
    const at = place(spec);
    if (at === undefined) continue;
    const names = files.get(file) ?? new Map<string, Map<string, string>>();
    files.set(file, names);
    let name = at.name;
    for (let count = 2; names.get(name)?.has(at.backend); count++) name = `${at.name} (${count})`;
    names.set(name, (names.get(name) ?? new Map()).set(at.backend, spec.id));
  }
  return files;
}

/** A number that depends on a text alone (FNV-1a, 32 bits). */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

/** Which tests to run: of each file whose path holds `file` one in `every`, the same every time. */
export interface Choice {
  readonly file: string;
  readonly every: number;
}

/** Runs tfjs's tests. */
export async function run({ file: part, every }: Choice): Promise<Test[]> {
  const chosen = [...places()].flatMap(([file, names]) =>
    [...(file.includes(part) ? names : [])]
      .sort(([a], [b]) => hash(`${file}: ${a}`) - hash(`${file}: ${b}`))
      .slice(0, Math.ceil(names.size / every))
      .map(([name, ids]) => ({ file, name, ids })),
  );
  const runs = await execute(new Set(chosen.flatMap(({ ids }) => [...ids.values()])));
  return chosen
    .map(({ file, name, ids }): Test => {
      const on = (backend: string) => runs.get(ids.get(backend) ?? "");
      const ours = Object.keys(OURS).flatMap((backend) => on(backend) ?? []);
      const executed = ours.some((run) => run.executed);
      return { file, name, ...outcome({ test: `${file}: ${name}`, reference: on(REFERENCE), ours }), executed };
    })
    .sort((a, b) => compare(a.file, b.file) || compare(a.name, b.name));
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** Runs the specs of these ids. */
async function execute(ids: ReadonlySet<string>): Promise<Map<string, Run>> {
  const runs = new Map<string, Run>();
  jasmineEnv.configure({ random: false, specFilter: ({ id }) => ids.has(id) });
  jasmineEnv.addReporter({
    specStarted: () => log.start(),
    specDone: ({ id, status, failedExpectations }) => {
      if (status === "excluded") return;
      runs.set(id, {
        status,
        errors: failedExpectations.map(({ message }) => message),
        refusals: log.refusals.map(({ message }) => message),
        traced: log.kernels.size > 0,
        executed: log.runs > 0,
      });
    },
  });
  await jasmineEnv.execute();
  return runs;
}
