import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { writeReport } from "../../train/index.ts";
import type { Command, CommandContext } from "../command.ts";

export const report: Command = {
  usage: "report <run>",
  description: "Write a run's report.html: losses, clusters, settings, on one page",
  options: [["--bundle <path>", "A bundle exported from the run, for pictures; bundles/RUN where it is there"]],
  examples: ["report runs/digits", "report runs/digits --bundle bundles/digits"],
  run,
};

async function run({ args, options, io }: CommandContext): Promise<void> {
  const [folder = ""] = args;
  const usual = `bundles/${basename(folder)}`;
  const bundle = options.text("bundle") ?? (existsSync(join(usual, "manifest.json")) ? usual : undefined);
  io.stdout.write(`${await writeReport(folder, bundle === undefined ? {} : { bundle })}\n`);
}
