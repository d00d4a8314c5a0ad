import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { writeFileAtomic } from "../export/files.ts";
import type { Preview } from "../export/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import { readBundle } from "../runtime/node.ts";
import { reportPage } from "./report-page.ts";
import { type Run, type RunEvent, readRun } from "./run.ts";
import { parsedEvent } from "./run-log.ts";

/**
 * Writes `report.html` into a run's folder: one page that needs no other file, no network and no script. It is a function of
 * the folder, and of the bundle where there is one: the same again, the same bytes.
 *
 * @param bundle - exported from the run; its pictures of typical samples and of the embedding are shown.
 * @returns the page's path.
 * @throws {SubspanError} RUN_INVALID if there is no run, or the bundle is of another; BUNDLE_* if it cannot be read.
 */
export async function writeReport(folder: string, { bundle }: { readonly bundle?: string } = {}): Promise<string> {
  const run = await readRun(folder);
  const preview = bundle === undefined ? undefined : await previewOf(run, bundle);
  const path = join(folder, "report.html");
  const page = reportPage({
    ...{ name: basename(folder), run, events: await readEvents(folder), environment: await readEnvironment(folder) },
    ...(preview && { preview }),
  });
  await writeFileAtomic(path, page);
  return path;
}

async function readEvents(folder: string): Promise<RunEvent[]> {
  const text = await readFile(join(folder, "events.jsonl"), "utf8").catch(() => "");
  const lines = text.split("\n").filter((line) => !line.startsWith('{"type":"step"'));
  return lines.map(parsedEvent).filter((event) => event !== undefined) as RunEvent[];
}

async function readEnvironment(folder: string): Promise<Record<string, unknown>> {
  const text = await readFile(join(folder, "env.json"), "utf8").catch(() => "{}");
  return JSON.parse(text) as Record<string, unknown>;
}

async function previewOf({ config, state, folder }: Run, path: string): Promise<Preview> {
  const bundle = await readBundle(path);
  const { seed, method, data, clusterSizes } = bundle.manifest;
  const of = (what: object) => JSON.stringify(what);
  const ours = of([config.seed, config.method, config.data.fingerprint, state?.finished?.sizes]);
  if (of([seed, method, data.fingerprint, clusterSizes]) !== ours)
    throw new SubspanError("RUN_INVALID", `${path}: was not exported from ${folder}`);
  return JSON.parse(new TextDecoder().decode(await bundle.read("preview.json"))) as Preview;
}
