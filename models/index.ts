import { SubspanError } from "../runtime/errors.ts";
import { dscdan } from "./dscdan/index.ts";
import { ebse } from "./ebse/index.ts";
import type { Method } from "./method.ts";
import { udll } from "./udll/index.ts";

export { dscdan } from "./dscdan/index.ts";
export { ebse } from "./ebse/index.ts";
export {
  type Arrays,
  type BatchInput,
  type ClusterStart,
  type Method,
  type Phase,
  type PhaseStart,
  PRESETS,
  type Preset,
  type Readout,
  type Refinement,
  type SampleType,
  type SpectralSettings,
} from "./method.ts";
export type { ParameterSpec, ParameterSpecs, Parameters } from "./parameters.ts";
export { udll } from "./udll/index.ts";

const METHODS: ReadonlyMap<string, Method> = new Map(
  [dscdan, ebse, udll].map((method) => [method.name, method as unknown as Method]),
);
export const METHOD_NAMES: readonly string[] = [...METHODS.keys()];

/** @throws {SubspanError} USAGE for a name that is no method. */
export function methodNamed(name: string): Method {
  const method = METHODS.get(name);
  if (method === undefined) throw new SubspanError("USAGE", `method: expected ${METHOD_NAMES.join(", ")}, got ${name}`);
  return method;
}
