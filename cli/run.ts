import { cac } from "cac";
import { SubspanError } from "../runtime/errors.ts";
import { packageVersion } from "../runtime/node-version.ts";
import { didYouMean } from "../train/nearest-name.ts";
import type { Command, Io } from "./command.ts";
import { DONE, exitCode, FAILED, WRONG_USE } from "./exit-codes.ts";
import { interruptible } from "./interrupt.ts";
import { declaredOptions, Options } from "./options.ts";

/** Commands by name, in the order of the help. One is loaded when it is asked for: tfjs alone takes longer than a server's start. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  quickstart: async () => (await import("./commands/quickstart.ts")).quickstart,
  train: async () => (await import("./commands/train.ts")).train,
  export: async () => (await import("./commands/export.ts")).exportCommand,
  assign: async () => (await import("./commands/assign.ts")).assign,
  merge: async () => (await import("./commands/merge.ts")).merge,
  evaluate: async () => (await import("./commands/evaluate.ts")).evaluate,
  serve: async () => (await import("./commands/serve.ts")).serve,
  report: async () => (await import("./commands/report.ts")).report,
  convert: async () => (await import("./commands/convert.ts")).convert,
  wasm: async () => (await import("./commands/wasm.ts")).wasm,
  doctor: async () => (await import("./commands/doctor.ts")).doctor,
};

const GLOBAL = ["-h, --help", "-v, --version", "--verbose"];

const nameOf = ({ usage }: Command): string => usage.split(" ")[0] as string;

/**
 * Runs one command.
 *
 * @param argv - what was typed after the program's name.
 * @param program - what was typed before it.
 * @returns the exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted.
 */
export async function runCommandLine(argv: readonly string[], io: Io, program = "subspan"): Promise<number> {
  try {
    const at = argv.findIndex((word) => !word.startsWith("-"));
    const command = at < 0 ? undefined : await commandNamed(argv[at] as string);
    const flags = command?.options.map(([flag]) => flag) ?? [];
    const options = Options.parse(argv.toSpliced(at, at < 0 ? 0 : 1), declaredOptions([...flags, ...GLOBAL]));
    if (command === undefined || asksForHelp(argv)) return await showHelp(argv, options, command);
    checkArguments(command, options.args);
    const say = (text: string) => io.stderr.write(`${io.stderr.isTTY ? "\n" : ""}${text}\n`);
    await interruptible((signal) => command.run({ args: options.args, options, io, signal, program }), say);
    return DONE;
  } catch (error) {
    io.stderr.write(errorText(error, argv.includes("--verbose")));
    return error instanceof SubspanError ? exitCode(error.code) : FAILED;
  }
}

function commandNamed(name: string): Promise<Command> {
  if (Object.hasOwn(COMMANDS, name)) return (COMMANDS[name] as () => Promise<Command>)();
  const names = Object.keys(COMMANDS);
  const hint = didYouMean(name, names) || ` There are ${names.join(", ")}.`;
  throw new SubspanError("USAGE", `no command ${name}.${hint}`);
}

function checkArguments({ usage }: Command, args: readonly string[]): void {
  const [name, ...wanted] = usage.split(" ");
  if (args.length > wanted.length && !usage.endsWith("...>"))
    throw new SubspanError("USAGE", `${name}: ${args[wanted.length]} is one argument too many; it is ${usage}`);
  const missing = wanted[args.length];
  if (missing !== undefined) throw new SubspanError("USAGE", `${name}: ${missing} is missing; it is ${usage}`);
}

const asksForHelp = (argv: readonly string[]) => argv.some((word) => word === "--help" || word === "-h");

/** Help or version, as cac lays them out. Calling without a command shows the help, and is wrong use. */
async function showHelp(argv: readonly string[], options: Options, command: Command | undefined): Promise<number> {
  const asked = asksForHelp(argv) || argv.some((word) => word === "--version" || word === "-v");
  const isVersion = asked && !asksForHelp(argv);
  const cli = cac("subspan");
  const listed = command !== undefined ? [command] : isVersion ? [] : Object.values(COMMANDS).map((load) => load());
  for (const { usage, description, options, examples } of await Promise.all(listed)) {
    const added = cli.command(usage, description).usage(`${usage} [options]`);
    for (const [flags, meaning] of options) added.option(flags, meaning);
    for (const example of examples) added.example(`  $ subspan ${example}`);
  }
  cli.option("--verbose", "Show where an error comes from");
  cli.version(packageVersion());
  cli.help((sections) => {
    // cac's list of calls for more help repeats the list of commands.
    const kept = sections
      .filter(({ title = "" }) => !title.startsWith("For more info"))
      .map(({ body, ...rest }) => ({ ...rest, body: body.replace(/ +$/gm, "") }));
    return command === undefined ? [...kept, ...OVERVIEW] : [...kept, ...(command.help?.(options) ?? [])];
  });
  const words = isVersion ? ["--version"] : command === undefined ? ["--help"] : [nameOf(command), "--help"];
  cli.parse(["node", "subspan", ...words], { run: false });
  return asked ? DONE : WRONG_USE;
}

const OVERVIEW = [
  {
    title: "Start here",
    body: "  $ subspan quickstart        two or three minutes, from images to a graph that assigns new ones\n  $ subspan COMMAND --help    options and examples of a command",
  },
];

/** One line; with `verbose` where it came from and what was behind it. */
function errorText(error: unknown, verbose: boolean): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = `subspan: ${message.replace(/\s*\n\s*/g, " ")}\n`;
  if (!verbose || !(error instanceof Error)) return line;
  const causes: string[] = [];
  for (let e: unknown = error; e instanceof Error; e = e.cause) causes.push(e.stack ?? e.message);
  return `${line}${causes.join("\ncaused by: ")}\n`;
}
