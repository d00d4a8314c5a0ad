import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Clusterer, type EncodedImage, loadClusterer, SubspanError } from "../../runtime/node.ts";
import { loadSource } from "../../train/data/index.ts";
import { encodeNpy } from "../../train/data/npy.ts";
import { Random } from "../../train/random.ts";
import { toyModel } from "../runtime/toy.ts";
import { p99, sized, within } from "./sized.ts";

let folder: string;
let clusterer: Clusterer<EncodedImage>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-readers-"));
  clusterer = await loadClusterer(toyModel(), { device: "cpu" });
});
afterAll(async () => {
  await clusterer.dispose();
  await rm(folder, { recursive: true });
});

/** Cut off, bytes changed, a part left out, or a part twice. */
function damaged(whole: Uint8Array, random: Random): Uint8Array {
  const bytes = Buffer.from(whole);
  const [from, to] = [random.integer(bytes.length), random.integer(bytes.length)].sort((a, b) => a - b) as [
    number,
    number,
  ];
  switch (random.integer(4)) {
    case 0:
      return bytes.subarray(0, from);
    case 1:
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
    default:
      for (let flips = 1 + random.integer(4); flips > 0; flips--)
        bytes[random.integer(bytes.length)]! ^= 1 << random.integer(8);
      return bytes;
  }
}

const picture = (format: "png" | "jpeg" | "webp" | "gif" | "tiff") =>
  sharp({ create: { width: 9, height: 7, channels: 3, background: "#a52" } })
    .toFormat(format)
    .toBuffer();
const numbers = Float32Array.from({ length: 40 }, (_, i) => i / 7);
const parquet = () =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: "a", data: [...numbers], type: "FLOAT" },
        { name: "label", data: [...numbers].map((x) => (x > 2 ? "many" : "few")), type: "STRING" },
      ],
    }),
  );
const csv = `a,b,label\n${[...numbers].map((x) => `${x},"${-x}",${x > 2 ? "many" : "few"}`).join("\n")}\n`;

const source = async (name: string, bytes: Uint8Array) => {
  const path = join(folder, name);
  await writeFile(path, bytes);
  const { samples } = await loadSource(path);
  expect(samples.data.length).toBe(samples.shape.reduce((a, b) => a * b));
  expect(samples.kind === "features" ? samples.data.every(Number.isFinite) : true).toBe(true);
};
const image = async (_: string, bytes: Uint8Array) => {
  const { label } = await clusterer.assign(bytes);
  expect(label.length).toBe(1);
};

/** Each time a process is started, and on some damaged pages (hyparquet goes on for minutes) it is ended after ten seconds. */
const isParquet = (name: string) => name === "a.parquet";
const times = (name: string) => (isParquet(name) ? 100 : sized(100, 5000));
const most = (name: string) => within(isParquet(name) ? 12_000 : 1000);

test.each<[string, () => Uint8Array | Promise<Uint8Array>, (name: string, bytes: Uint8Array) => Promise<void>]>([
  ["a.npy", () => encodeNpy({ data: numbers, shape: [10, 4] }), source],
  ["a.csv", () => Buffer.from(csv), source],
  ["a.parquet", parquet, source],
  ["a.png", () => picture("png"), image],
  ["a.jpeg", () => picture("jpeg"), image],
  ["a.webp", () => picture("webp"), image],
  ["a.gif", () => picture("gif"), image],
  ["a.tiff", () => picture("tiff"), image],
])(
  "%s, damaged again and again: a value or an error of a type, and no waiting",
  async (name, make, read) => {
    const whole = await make();
    await read(name, whole);
    const random = new Random(8, name);
    const took: number[] = [];
    for (let i = 0; i < times(name); i++) {
      const bytes = damaged(whole, random);
      const began = performance.now();
      const error = await read(name, bytes).then(
        () => undefined,
        (error) => error,
      );
      took.push(performance.now() - began);
      if (error !== undefined) expect(error, `${name} ${i}: ${error.stack}`).toBeInstanceOf(SubspanError);
    }
    expect(Math.max(...took), `99 of 100 took up to ${p99(took)} ms`).toBeLessThan(most(name));
  },
  300_000,
);
