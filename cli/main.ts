#!/usr/bin/env node
import { programName } from "./program.ts";
import { runCommandLine } from "./run.ts";

// Whoever reads the output may stop reading, as `head` does: that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
process.exitCode = await runCommandLine(process.argv.slice(2), process, programName(process.argv[1]));
