import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { writeFileAtomic } from "../export/files.ts";
import { SubspanError } from "../runtime/errors.ts";

const HASH = z.string().regex(/^[0-9a-f]{64}$/);
const COUNT = z.number().int().min(0);

/** What a shard's file was made of: two shards belong together if all but their index and range is equal. */
const RECORD = z.strictObject({
  formatVersion: z.literal(1),
  index: COUNT,
  /** Of shards in all. */
  count: z.number().int().min(1),
  /** Of samples in all. */
  samples: COUNT,
  /** The samples of this shard: from, and up to but without `to`. */
  from: COUNT,
  to: COUNT,
  batchSize: z.number().int().min(1),
  device: z.string(),
  /** sha256 of the source's samples. */
  source: z.string(),
  /** sha256 of the graph. */
  model: HASH,
  file: z.strictObject({ size: COUNT, sha256: HASH }),
});
export type ShardRecord = z.infer<typeof RECORD>;
export type ShardPlan = Omit<ShardRecord, "file" | "formatVersion">;

/** Where a shard's record lies: beside its file, and after it in time, so that a record tells that its file is whole. */
export const recordPath = (file: string) => `${file}.shard.json`;

/** Says what a finished file is. */
export async function writeRecord(path: string, plan: ShardPlan): Promise<void> {
  const record: ShardRecord = { formatVersion: 1, ...plan, file: await fingerprint(path) };
  await writeFileAtomic(recordPath(path), `${JSON.stringify(record, null, 2)}\n`);
}

/** Whether a shard's file is there already, made of the same, and whole. */
export async function isThere(path: string, plan: ShardPlan): Promise<boolean> {
  const found = await readRecord(path).catch(() => undefined);
  if (found === undefined) return false;
  const { formatVersion: _, file, ...made } = found;
  const isSame = (Object.keys(plan) as (keyof ShardPlan)[]).every((key) => made[key] === plan[key]);
  return isSame && isFile(path, file);
}

/** Shards in their order. @throws {SubspanError} SOURCE_MISSING or SOURCE_INVALID unless they are all of one whole, unchanged. */
export async function readShards(paths: readonly string[]): Promise<readonly { path: string; record: ShardRecord }[]> {
  const shards: { path: string; record: ShardRecord }[] = [];
  for (const path of paths) shards.push({ path, record: await readRecord(path) });
  shards.sort((a, b) => a.record.index - b.record.index);
  const [first] = shards as [(typeof shards)[number]];
  for (const { path, record } of shards) {
    const other = ALIKE.find((key) => record[key] !== first.record[key]);
    if (other !== undefined)
      throw invalid(
        path,
        `${other} is ${record[other]}, of ${first.path} it is ${first.record[other]}; they are no parts of one whole`,
      );
  }
  const { count, samples } = first.record;
  const indices = shards.map(({ record }) => record.index);
  const missing = Array.from({ length: count }, (_, i) => i).filter((i) => !indices.includes(i));
  if (missing.length > 0)
    throw new SubspanError(
      "SOURCE_MISSING",
      `${missing.map((i) => `${i}/${count}`).join(", ")} is missing; got ${indices.length} of ${count} shards`,
    );
  const twice = shards.find(({ record }, i) => record.index === indices[i - 1]);
  if (twice !== undefined) throw invalid(twice.path, `shard ${twice.record.index}/${count} is there twice`);
  const ends = [0, ...shards.map(({ record }) => record.to)];
  const gap = shards.find(({ record }, i) => record.from !== ends[i]);
  if (gap !== undefined || ends.at(-1) !== samples)
    throw invalid(gap?.path ?? first.path, `the shards' ranges do not make up ${samples} samples`);
  for (const { path, record } of shards)
    if (!(await isFile(path, record.file))) throw invalid(path, `is not the file that ${recordPath(path)} tells of`);
  return shards;
}

const ALIKE = ["count", "samples", "batchSize", "device", "source", "model"] as const;

async function readRecord(path: string): Promise<ShardRecord> {
  const text = await readFile(recordPath(path), "utf8").catch((cause) => {
    const what =
      cause.code === "ENOENT" ? "is missing; `assign --shard` writes it when the shard is done" : cause.message;
    throw new SubspanError("SOURCE_MISSING", `${recordPath(path)}: ${what}`, { cause });
  });
  try {
    return RECORD.parse(JSON.parse(text));
  } catch (cause) {
    throw invalid(recordPath(path), "is no shard's record", cause);
  }
}

async function isFile(path: string, expected: ShardRecord["file"]): Promise<boolean> {
  const { size } = await stat(path).catch(() => ({ size: -1 }));
  return size === expected.size && (await fingerprint(path)).sha256 === expected.sha256;
}

async function fingerprint(path: string): Promise<ShardRecord["file"]> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { size, sha256: hash.digest("hex") };
}

const invalid = (path: string, what: string, cause?: unknown) =>
  new SubspanError("SOURCE_INVALID", `${path}: ${what}`, { cause });
