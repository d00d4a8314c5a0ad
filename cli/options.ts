import { SubspanError } from "../runtime/errors.ts";
import { didYouMean } from "../train/nearest-name.ts";

const usage = (message: string) => new SubspanError("USAGE", message);

/** Options by name, as a command declares them: whether they take a value. */
export type Declared = ReadonlyMap<string, { readonly takesValue: boolean }>;

/** "--out <file>" -> out, which takes a value; "--json" -> json, which takes none; "-h, --help" -> help. */
export function declaredOptions(flags: Iterable<string>): Declared {
  return new Map(
    Array.from(flags, (flag) => [/--([a-z0-9-]+)/.exec(flag)?.[1] ?? flag, { takesValue: /[<[]/.test(flag) }] as const),
  );
}

/**
 * A command's options and arguments as they were typed. cac makes numbers of what looks like one ("007", "1e3"), so this reads
 * the arguments itself; what a value means is said where it is used.
 */
export class Options {
  readonly args: readonly string[];
  readonly #values: ReadonlyMap<string, readonly string[]>;

  private constructor(args: readonly string[], values: ReadonlyMap<string, readonly string[]>) {
    this.args = args;
    this.#values = values;
  }

  /** @throws {SubspanError} USAGE for an option that is not declared, lacks its value or has one it does not take. */
  static parse(argv: readonly string[], declared: Declared): Options {
    const values = new Map<string, string[]>();
    const args: string[] = [];
    for (let i = 0; i < argv.length; i++) {
      const word = argv[i] as string;
      if (word === "--") {
        args.push(...argv.slice(i + 1));
        break;
      }
      if (word === "-" || !word.startsWith("-")) {
        args.push(word);
        continue;
      }
      const [, name = "", inline] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
      const option = declared.get(name);
      if (option === undefined) throw unknownOption(word, declared);
      if (!option.takesValue && inline !== undefined) throw usage(`--${name} takes no value`);
      const value = option.takesValue ? (inline ?? argv[++i]) : "yes";
      if (value === undefined || value === "") throw usage(`--${name} needs a value`);
      values.set(name, [...(values.get(name) ?? []), value]);
    }
    return new Options(args, values);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** @throws {SubspanError} USAGE if one of these is there; `what` is what they are not for. */
  refuse(names: readonly string[], what: string): void {
    const other = names.find((name) => this.has(name));
    if (other !== undefined) throw usage(`--${other} is not for ${what}`);
  }

  /** An option that may come more than once. */
  list(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** @throws {SubspanError} USAGE if it came twice. */
  text(name: string): string | undefined {
    const values = this.list(name);
    if (values.length > 1) throw usage(`--${name} is given ${values.length} times`);
    return values[0];
  }

  required(name: string, example: string): string {
    const value = this.text(name);
    if (value === undefined) throw usage(`--${name} is needed, such as --${name} ${example}`);
    return value;
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const value = this.text(name);
    if (value === undefined || choices.includes(value as T)) return value as T | undefined;
    throw usage(`--${name}: expected ${choices.join(", ")}, got ${value}.${didYouMean(value, choices)}`);
  }

  integer(name: string, least: number, most = Number.MAX_SAFE_INTEGER): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= least && number <= most) return number;
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw usage(`--${name}: expected an integer ${range}, got ${value}`);
  }

  /** "90s", "10m", "1h30m" in milliseconds. */
  duration(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const part = (unit: string) => String.raw`(?:(\d+(?:\.\d+)?)${unit})?`;
    const [, hours = 0, minutes = 0, seconds = 0] =
      new RegExp(`^${part("h")}${part("m")}${part("s")}$`).exec(value) ?? [];
    const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
    if (total > 0) return total * 1000;
    throw usage(`--${name}: expected a time such as 90s, 10m or 1h30m, got ${value}`);
  }
}

function unknownOption(word: string, declared: Declared): SubspanError {
  const name = word.replace(/^-+/, "").replace(/=.*$/s, "");
  const near = didYouMean(name, [...declared.keys()]).replace("mean ", "mean --");
  return usage(`unknown option ${word.replace(/=.*$/s, "")}.${near}`);
}

/** "i/S": part i of S, counted from 0. */
export function shardOf(text: string): { readonly index: number; readonly count: number } {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  if (shard.count >= 1 && shard.index < shard.count) return shard;
  throw usage(`--shard: expected i/S with i from 0 to S - 1, such as 0/4, got ${text}`);
}

/** "a.b=value" pairs as nested settings. Values are JSON where they are (3, true, [1, 2]), else text. */
export function settingsOf(pairs: readonly string[]): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw usage(`--set: expected key=value, such as pretraining.epochs=5, got ${pair}`);
    put(settings, pair.slice(0, at).split("."), jsonOrText(pair.slice(at + 1)), pair);
  }
  return settings;
}

function put(
  into: Record<string, unknown>,
  [key = "", ...rest]: readonly string[],
  value: unknown,
  pair: string,
): void {
  if (key === "" || key === "__proto__") throw usage(`--set ${pair}: that is no key`);
  if (rest.length === 0) {
    into[key] = value;
    return;
  }
  if (typeof into[key] !== "object" || into[key] === null) into[key] = {};
  put(into[key] as Record<string, unknown>, rest, value, pair);
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
