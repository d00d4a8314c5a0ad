import type { Options } from "./options.ts";

/** Where a command writes: results on `stdout`, progress and errors on `stderr`. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
}

/** What of a stream the command line needs. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface CommandContext {
  readonly args: readonly string[];
  readonly options: Options;
  readonly io: Io;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  /** How a person calls this program: examples in messages begin with it. */
  readonly program: string;
}

/** A command as data: what `--help` shows and what runs. */
export interface Command {
  /** With its arguments: "assign <bundle> <source>". */
  readonly usage: string;
  readonly description: string;
  /** Flags as cac writes them ("--out <file>") and what they mean. */
  readonly options: readonly (readonly [flags: string, description: string])[];
  /** Without the program's name. */
  readonly examples: readonly string[];
  /** More for `--help`, given the options typed beside it. */
  help?(options: Options): readonly { readonly title: string; readonly body: string }[];
  run(context: CommandContext): Promise<void>;
}
