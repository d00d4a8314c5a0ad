import { z } from "zod";
import { type Method, PRESETS, type Preset } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import { didYouMean } from "./nearest-name.ts";

/** Settings by name, nested as a method's schema is. */
export type Settings = { readonly [name: string]: unknown };

/** One hyperparameter of a method, as a person reads about it. */
export interface Hyperparameter {
  /** Dotted: "pretraining.epochs". */
  readonly key: string;
  readonly description: string;
  /** Missing where nobody but the user can say. */
  readonly values: Readonly<Partial<Record<Preset, unknown>>>;
}

/** Every hyperparameter of a method with its value in each preset, from the method's own schema. */
export function hyperparameters(method: Method): Hyperparameter[] {
  const descriptions = describedKeys(z.toJSONSchema(method.schema, { io: "input" }) as JsonSchema);
  const required = Object.fromEntries(
    descriptions.filter(({ required }) => required).map(({ key, least }) => [key, least]),
  );
  const resolved = PRESETS.map(
    (preset) => [preset, flatten(resolveConfig(method, preset, required) as Settings)] as const,
  );
  return descriptions.map(({ key, description, required }) => ({
    key,
    description,
    values: required ? {} : Object.fromEntries(resolved.map(([preset, values]) => [preset, values[key]])),
  }));
}

/**
 * A preset with settings over it, checked and complete.
 *
 * @throws {SubspanError} USAGE naming the setting that is unknown, missing or out of its range.
 */
export function resolveConfig(method: Method, preset: Preset, settings: Settings): object {
  if (!PRESETS.includes(preset))
    throw new SubspanError("USAGE", `preset: expected ${PRESETS.join(", ")}, got ${String(preset)}`);
  return checkedConfig(method, merge(method.presets[preset] as Settings, settings));
}

/** A method's complete settings from some of them. @throws {SubspanError} USAGE, as `resolveConfig`. */
export function checkedConfig(method: Method, settings: Settings): object {
  const dotted = Object.keys(settings).find((key) => key.includes("."));
  if (dotted !== undefined) {
    const [group, ...rest] = dotted.split(".");
    const nested = `{ ${JSON.stringify(group)}: { ${JSON.stringify(rest.join("."))}: ... } }`;
    throw new SubspanError("USAGE", `settings: write ${dotted} as ${nested}`);
  }
  const parsed = method.schema.safeParse(settings, { reportInput: true });
  const known = describedKeys(z.toJSONSchema(method.schema, { io: "input" }) as JsonSchema).map(({ key }) => key);
  const unknown = Object.keys(flatten(settings)).find((key) => !known.some((name) => isAt(key, name)));
  if (unknown !== undefined) {
    const inside = known.filter((name) => name.startsWith(`${unknown.split(".")[0]}.`));
    const hint = didYouMean(unknown, known) || (inside.length > 0 ? ` There are ${inside.join(", ")}.` : "");
    throw new SubspanError("USAGE", `${method.name} has no hyperparameter ${unknown}.${hint}`);
  }
  if (!parsed.success) throw new SubspanError("USAGE", parsed.error.issues.map(issueText).join("; "));
  return parsed.data;
}

/** Settings over settings: objects join, all else replaces. */
export function merge(base: Settings, over: Settings): Settings {
  const joined = Object.entries(over).map(([key, value]) => {
    const old = Object.hasOwn(base, key) ? base[key] : undefined;
    return [key, isSettings(old) && isSettings(value) ? merge(old, value) : value] as const;
  });
  return { ...base, ...Object.fromEntries(joined) };
}

/** Dotted key -> value; lists are values. */
export function flatten(settings: Settings, prefix = ""): Record<string, unknown> {
  const entries = Object.entries(settings).flatMap(([key, value]) => {
    const name = `${prefix}${key}`;
    return isSettings(value) ? Object.entries(flatten(value, `${name}.`)) : [[name, value] as const];
  });
  return Object.fromEntries(entries);
}

const isSettings = (value: unknown): value is Settings =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a dotted key is `name` or within it (a setting that may be an object, such as augmentation). */
const isAt = (key: string, name: string) => key === name || key.startsWith(`${name}.`);

/** What of JSON Schema zod writes for a method. */
interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly minimum?: number;
}

function describedKeys({ properties = {}, required = [] }: JsonSchema, prefix = "") {
  type Key = { key: string; description: string; required: boolean; least: number };
  return Object.entries(properties).flatMap(([name, schema]): Key[] => {
    const key = `${prefix}${name}`;
    if (schema.properties !== undefined) return describedKeys(schema, `${key}.`);
    const { description = "", minimum: least = 1 } = schema;
    return [{ key, description, required: prefix === "" && required.includes(name), least }];
  });
}

function issueText(issue: z.core.$ZodIssue): string {
  const key = issue.path.join(".");
  if (issue.code !== "invalid_union") return `${key}: ${wrongText(issue)}`;
  const texts = issue.errors.map((issues) => issues.map((inner) => [...inner.path, wrongText(inner)].join(" ")));
  return `${key}: ${texts.map((issues) => issues.join(", ")).join("; or ")}`;
}

/** What was expected and what came. */
function wrongText({ message, ...issue }: z.core.$ZodIssue): string {
  const expected = expectedBy(issue);
  return expected === undefined || issue.input === undefined
    ? lowerFirst(message)
    : `expected ${expected}, got ${JSON.stringify(issue.input)}`;
}

function expectedBy(issue: Omit<z.core.$ZodIssue, "message">): string | undefined {
  const { code, expected, origin, minimum, maximum, inclusive } = issue as Partial<Record<string, unknown>>;
  if (code === "invalid_type")
    return expected === "int" ? "an integer" : expected === "number" ? "a number" : undefined;
  if (origin !== "number" && origin !== "int") return undefined;
  if (code === "too_small") return inclusive ? `at least ${minimum}` : `more than ${minimum}`;
  return code === "too_big" ? (inclusive ? `at most ${maximum}` : `less than ${maximum}`) : undefined;
}

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);
