import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type BundleContent, bundleFiles, card, writeBundle } from "../../export/index.ts";
import type { ErrorCode } from "../../runtime/errors.ts";
import { loadClusterer, readBundle } from "../../runtime/node.ts";
import { readZip } from "../../runtime/zip.ts";
import { toyContent, toyManifest, toyRows } from "./toy-clusterer.ts";

const FILES = ["manifest.json", "model.onnx", "encoder.onnx", "parity.json", "card.md", "preview.json"];

let folder: string;
let content: BundleContent;
let count = 0;
let out: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-bundle-"));
  content = await toyContent();
});
beforeEach(async () => {
  await mkdir(join(folder, `${++count}`));
  out = join(folder, `${count}`, "toy");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** All that is in the folder of `out`, hidden leftovers included. */
const beside = async () => (await readdir(join(out, ".."))).sort();
const fails = (code: ErrorCode, message: RegExp) => ({ code, message: expect.stringMatching(message) });

describe("a bundle", () => {
  test.each(["", ".subspan"])("is written whole and loads: toy%s", async (ending) => {
    const bytes = await writeBundle(`${out}${ending}`, content);
    expect(bytes).toBeGreaterThan(1000);
    const bundle = await readBundle(`${out}${ending}`);
    expect(["manifest.json", ...bundle.files.map(({ path }) => path)]).toEqual(FILES);
    for (const { path } of bundle.files) await bundle.read(path);
    const clusterer = await loadClusterer(`${out}${ending}`, { device: "cpu" });
    const { label } = await clusterer.assign(toyRows);
    expect(Array.from(label)).toEqual([0, 1, 2, 0, 2, 1]);
    await clusterer.dispose();
    expect(await beside()).toEqual([`toy${ending}`]);
  });

  test("has a graph that is enough by itself", async () => {
    await writeBundle(out, content);
    const { manifest } = await readBundle(join(out, "model.onnx"));
    expect(manifest).toEqual(content.manifest);
  });

  test.each(["", ".subspan"])("has the same bytes twice: toy%s", async (ending) => {
    const first = await bundleFiles(content);
    const second = await bundleFiles(await toyContent());
    expect([...second]).toEqual([...first]);
    await writeBundle(`${out}${ending}`, content);
    await writeBundle(`${out}.again${ending}`, await toyContent());
    const files = ending === "" ? FILES : [""];
    for (const file of files) {
      const read = (path: string) => readFile(join(`${path}${ending}`, file));
      expect((await read(out)).equals(await read(`${out}.again`)), file).toBe(true);
    }
  });

  test("is a zip whose files are stored, the manifest first", async () => {
    await writeBundle(`${out}.subspan`, content);
    const files = readZip(await readFile(`${out}.subspan`));
    expect([...files.keys()]).toEqual(FILES);
  });
});

describe("writing a bundle", () => {
  test("replaces a bundle only when told to", async () => {
    for (const path of [out, `${out}.subspan`]) {
      await writeBundle(path, content);
      await expect(writeBundle(path, content)).rejects.toMatchObject(fails("USAGE", /there is a bundle already/));
      const changed = { ...content, card: "# changed\n" };
      await writeBundle(path, changed, { overwrite: true });
      const bundle = await readBundle(path);
      expect(new TextDecoder().decode(await bundle.read("card.md"))).toBe("# changed\n");
    }
    expect(await beside()).toEqual(["toy", "toy.subspan"]);
  });

  test("takes an empty folder", async () => {
    await mkdir(out);
    await writeBundle(out, content);
    expect((await readdir(out)).sort()).toEqual([...FILES].sort());
  });

  test("never replaces a folder that is no bundle", async () => {
    await mkdir(out);
    await writeFile(join(out, "thesis.txt"), "years of work");
    const write = () => writeBundle(out, content, { overwrite: true });
    await expect(write()).rejects.toMatchObject(fails("USAGE", /is not a bundle \(it has no manifest.json\)/));
    await writeFile(join(out, "manifest.json"), "{}");
    await expect(write()).rejects.toMatchObject(fails("USAGE", /is not a bundle \(manifest/));
    expect(await readFile(join(out, "thesis.txt"), "utf8")).toBe("years of work");
  });

  test("never replaces a bundle with something else in it", async () => {
    await writeBundle(out, content);
    await mkdir(join(out, "notes"));
    await writeFile(join(out, "notes", "thesis.txt"), "years of work");
    await expect(writeBundle(out, content, { overwrite: true })).rejects.toMatchObject(
      fails("USAGE", /it holds notes\/thesis.txt/),
    );
  });

  test("never replaces a file, a link, or one form by the other", async () => {
    await writeFile(`${out}.subspan`, "years of work");
    await expect(writeBundle(`${out}.subspan`, content, { overwrite: true })).rejects.toMatchObject(
      fails("USAGE", /is not a bundle \(zip: /),
    );
    await writeFile(out, "years of work");
    await expect(writeBundle(out, content, { overwrite: true })).rejects.toMatchObject(
      fails("USAGE", /there is a file of this name/),
    );
    await symlink(folder, `${out}.link`);
    await expect(writeBundle(`${out}.link`, content, { overwrite: true })).rejects.toMatchObject(
      fails("USAGE", /there is a link or device of this name/),
    );
    await mkdir(`${out}2.subspan`);
    await expect(writeBundle(`${out}2.subspan`, content)).rejects.toMatchObject(
      fails("USAGE", /a folder of this name/),
    );
    await expect(writeBundle(`${out}.onnx`, content)).rejects.toMatchObject(fails("USAGE", /ends with .subspan/));
  });

  test.each<[string, Parameters<typeof toyManifest>[0], ErrorCode]>([
    ["a number of clusters that its outputs have not", { clusters: 4, clusterSizes: [1, 2, 2, 1] }, "BUNDLE_INVALID"],
    ["a name that no path may have", { name: "../toy" }, "BUNDLE_INVALID"],
    ["an input that the graph has not", { input: { ...toyManifest().input, shape: ["N", 5] } }, "BUNDLE_INVALID"],
    ["a metric that is not a number", { metrics: { agreement: Number.NaN } }, "BUNDLE_INVALID"],
  ])("leaves nothing where the manifest has %s", async (_, changes, code) => {
    const wrong = await toyContent(toyManifest(changes));
    await expect(writeBundle(out, wrong)).rejects.toMatchObject({ code });
    await expect(writeBundle(`${out}.subspan`, wrong)).rejects.toMatchObject({ code });
    expect(await beside()).toEqual([]);
  });
});

test("a card says what the clusterer is and how to use it", () => {
  const text = card(toyManifest({ clusterNames: ["ones", "twos", "threes"] }), {
    paper: "Someone 2020",
    preset: "quick",
    meanings: { agreement: "of views" },
    limitations: ["It knows nothing."],
    parity: content.parity,
    parts: ["encoder"],
  });
  for (const part of ["# toy", "Someone 2020", "| twos | 2 |", "| agreement | 0.97 | of views |", "loadClusterer"]) {
    expect(text).toContain(part);
  }
  expect(text).toContain("- It knows nothing.");
  expect(text).toContain("`encoder.onnx`");
});
