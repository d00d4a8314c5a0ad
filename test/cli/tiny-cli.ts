import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import type { Io } from "../../cli/command.ts";
import { runCommandLine } from "../../cli/run.ts";
import { writeNpz } from "../../train/data/index.ts";
import { tinyImages } from "../train/tiny.ts";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Collects what is written. */
export function collector(terminal?: {
  readonly columns: number;
}): Io & { readonly text: { out: string; err: string } } {
  const text = { out: "", err: "" };
  const write = (to: "out" | "err") => (chunk: string) => {
    text[to] += chunk;
  };
  return {
    text,
    stdout: { write: write("out") },
    stderr: { write: write("err"), ...(terminal && { isTTY: true, ...terminal }) },
  };
}

/** Runs the command line in this process. Help is cac's, which writes to the console. */
export async function subspan(...argv: string[]): Promise<Outcome> {
  const io = collector();
  const console = vi.spyOn(globalThis.console, "info").mockImplementation((line) => io.stdout.write(`${line}\n`));
  try {
    const code = await runCommandLine(argv, io);
    return { code, stdout: io.text.out, stderr: io.text.err };
  } finally {
    console.mockRestore();
  }
}

export async function temporaryFolder(): Promise<{ readonly path: (name: string) => string; remove(): Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), "subspan-cli-"));
  return { path: (name) => join(root, name), remove: () => rm(root, { recursive: true }) };
}

/** Tiny images as .npz, with labels that are true, shuffled among the samples, or left out. */
export async function writeTiny(path: string, n: number, seed: number, labels: "true" | "shifted" | "none" = "true") {
  const { samples, truth } = tinyImages(n, seed);
  const x = { data: samples.data as Uint8Array<ArrayBuffer>, shape: samples.shape };
  const y = { data: labels === "shifted" ? truth.map((_, i) => truth[(i + 1) % n] as number) : truth, shape: [n] };
  await writeNpz(path, labels === "none" ? { x } : { x, y: y as { data: Int32Array<ArrayBuffer>; shape: number[] } });
}

/** A run of a second. */
export const TINY_SETTINGS = [
  ["--method", "dscdan", "--clusters", "3", "--preset", "quick", "--seed", "1"],
  ...[
    "latent=6",
    "neighbours=8",
    "pretraining.epochs=2",
    "pretraining.batch=32",
    "joint.rounds=1",
    "joint.epochs=2",
    "joint.batch=32",
  ].map((setting) => ["--set", setting]),
].flat();
