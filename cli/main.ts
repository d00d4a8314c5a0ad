#!/usr/bin/env node
import { programName } from "./program.ts";
import { runCommandLine } from "./run.ts";

const argv = process.argv.slice(2);
/** Commands whose result is a run's folder, whoever reads what they say. */
const isTraining = ["train", "quickstart"].includes(argv.find((word) => !word.startsWith("-")) ?? "");

// Whoever reads the output may stop reading, as `head` does: that is no failure.
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") process.exit(1);
});
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE" && isTraining) return;
  if (error.code === "EPIPE") process.exit(0);
  process.stderr.write(`subspan: what it says cannot be written: ${error.message}\n`);
  process.exit(1);
});
process.exitCode = await runCommandLine(argv, process, programName(process.argv[1]));
