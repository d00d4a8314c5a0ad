#!/usr/bin/env node
import { programName } from "./program.ts";
import { runCommandLine } from "./run.ts";

process.exitCode = await runCommandLine(process.argv.slice(2), process, programName(process.argv[1]));
