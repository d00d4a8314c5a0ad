import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Zippable, zipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bundle, openBundle } from "../../runtime/bundle.ts";
import { type ErrorCode, SubspanError } from "../../runtime/errors.ts";
import { type LoadProgress, readBundle } from "../../runtime/node.ts";
import { Random } from "../../train/random.ts";
import { sized } from "../soak/sized.ts";
import { node, sha256, smallModel, toyBundle, toyManifest, toyModel } from "./toy.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "subspan-bundle-"));
});
afterAll(() => rm(root, { recursive: true }));

const zip = (files: Zippable) => zipSync(files, { level: 0, mtime: "2026-01-01" });
const fails = (code: ErrorCode, message?: string | RegExp) =>
  expect.objectContaining({ code, ...(message === undefined ? {} : { message: expect.stringMatching(message) }) });

async function folder(name: string, files: Record<string, Uint8Array>): Promise<string> {
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(root, name, path)), { recursive: true });
    await writeFile(join(root, name, path), bytes);
  }
  return join(root, name);
}

/** Opens files from memory, without a file system. */
const open = (files: Record<string, Uint8Array>) =>
  openBundle({
    origin: "memory",
    read: async (path) => {
      if (files[path] === undefined) throw new SubspanError("BUNDLE_MISSING", path);
      return files[path];
    },
  });

test("a folder, its zip, its graph alone, their bytes and URLs are one bundle", async () => {
  const files = toyBundle();
  const path = await folder("good", files);
  await writeFile(join(root, "good.subspan"), zip(files));
  const server = createServer((request, response) => {
    const bytes =
      files[request.url!.replace("/digits/", "")] ?? (request.url === "/a.subspan" ? zip(files) : undefined);
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const http = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sources = [
    path,
    pathToFileURL(path),
    `${root}/good.subspan`,
    zip(files),
    join(path, "model.onnx"),
    files["model.onnx"]!,
    Uint8Array.from(zip(files)).buffer,
    new Blob([Uint8Array.from(zip(files))]),
    `${http}/digits`,
    new URL(`${http}/digits/model.onnx`),
    `${http}/a.subspan`,
  ];
  try {
    const bundles = await Promise.all(sources.map((source) => readBundle(source)));
    for (const { manifest } of bundles) expect(manifest).toEqual(toyManifest());
    expect(Buffer.from(await bundles[0]!.read("card.md")).toString()).toBe("# toy\n");
    await expect(readBundle(`${http}/none`)).rejects.toEqual(fails("BUNDLE_MISSING", "HTTP 404"));
    await expect(bundles[8]!.read("preview.json")).rejects.toEqual(fails("BUNDLE_MISSING"));
  } finally {
    server.close();
  }
});

test("what cannot be a bundle is refused by its file", async () => {
  const named = async (name: string, bytes: Uint8Array) => {
    await writeFile(join(root, name), bytes);
    return join(root, name);
  };
  const files = toyBundle();
  const [cut, torn, other] = [
    await named("cut.subspan", zip(files).subarray(0, -9)),
    await named("torn.onnx", files["model.onnx"]!.subarray(0, 200)),
    await folder("other", { ...files, "manifest.json": Buffer.from("{}") }),
  ];
  await expect(readBundle(cut)).rejects.toEqual(
    fails("BUNDLE_INVALID", /cut\.subspan: zip: expected a zip's directory/),
  );
  await expect(readBundle(torn)).rejects.toEqual(fails("GRAPH_INVALID", /torn\.onnx: /));
  await expect(readBundle(other)).rejects.toEqual(fails("BUNDLE_VERSION", /other: manifest\.formatVersion/));
  await expect(readBundle(new Uint8Array(0))).rejects.toEqual(
    fails("GRAPH_INVALID", /^bundle: the model has no graph/),
  );
  await expect(readBundle("http://[")).rejects.toEqual(fails("USAGE", /^http:\/\/\[: expected an address/));
  const file = new File([Uint8Array.from(files["model.onnx"]!.subarray(0, 200))], "chosen.onnx");
  await expect(readBundle(file)).rejects.toEqual(fails("GRAPH_INVALID", /^chosen\.onnx: /));
});

test.each([undefined, null, 7, {}, [new Uint8Array(3)]])("%o is no source of a bundle", async (source) => {
  await expect(readBundle(source as never)).rejects.toEqual(
    fails("USAGE", /^expected the path or URL of a bundle.*, got /),
  );
});

const paths = [
  "../x",
  "/etc/passwd",
  "a/../../x",
  "a\\b",
  "",
  "C:x",
  "a//b",
  ".",
  ".hidden",
  "%2e%2e/x",
  "MODEL.onnx",
  "a\0",
];
test.each(paths)("a manifest that names %j is refused", async (path) => {
  const files = toyBundle(({ files, ...rest }) => ({
    ...rest,
    files: [...(files as object[]), { path, size: 1, sha256: "0".repeat(64) }],
  }));
  await expect(open(files)).rejects.toEqual(fails("BUNDLE_INVALID", /^memory: manifest\.files/));
});

const drop = (name: string) => (manifest: Record<string, unknown>) => ({ ...manifest, [name]: undefined });
const put = (change: object) => (manifest: Record<string, unknown>) => ({ ...manifest, ...change });
const wrong: [string, (manifest: Record<string, unknown>) => unknown, RegExp][] = [
  ["no input", drop("input"), /manifest\.input: expected an object, got nothing/],
  ["a string of clusters", put({ clusters: "3" }), /manifest\.clusters: expected an integer .*, got "3"/],
  ["a size too few", put({ clusterSizes: [1, 2] }), /manifest\.clusterSizes: expected 3 items/],
  ["no label", put({ outputs: [] }), /manifest\.outputs: expected label int64 \[N\]/],
  ["an infinite metric", put({ metrics: { a: null } }), /manifest\.metrics\.a: expected a number, got null/],
  ["a list", () => [], /manifest.*: expected an object, got a list of 0/],
  ["other cluster names", put({ clusterNames: ["b", "a", "c"] }), /clusterNames is not what the graph's own/],
  ["no cluster names", drop("clusterNames"), /clusterNames is not what the graph's own/],
];
test.each(wrong)("a manifest with %s is refused", async (_, change, message) => {
  await expect(open(toyBundle(change))).rejects.toEqual(fails("BUNDLE_INVALID", message));
});

test("another format version is told first, whatever else is unknown", async () => {
  const version = /manifest\.formatVersion: expected 1, the format of this version of subspan, got 2/;
  const later = () => ({ formatVersion: 2, everything: "else" });
  await expect(open(toyBundle(later))).rejects.toEqual(fails("BUNDLE_VERSION", version));
  const inside = { ...toyManifest(), formatVersion: 2 } as unknown as ReturnType<typeof toyManifest>;
  await expect(readBundle(toyModel("images", inside))).rejects.toEqual(fails("BUNDLE_VERSION"));
});

test("a changed, cut, missing or unnamed model is refused", async () => {
  const { "model.onnx": bytes, ...rest } = toyBundle();
  const changed = Uint8Array.from(bytes!);
  changed[changed.length >> 1]! ^= 1;
  await expect(open({ ...rest, "model.onnx": changed })).rejects.toEqual(fails("BUNDLE_INVALID", /expected sha256/));
  await expect(open({ ...rest, "model.onnx": bytes!.subarray(1) })).rejects.toEqual(fails("BUNDLE_TRUNCATED", /bytes/));
  await expect(open(rest)).rejects.toEqual(fails("BUNDLE_MISSING"));
  await expect(open(toyBundle(put({ files: [] })))).rejects.toEqual(fails("BUNDLE_MISSING", /names no model/));
  await expect(open({ ...rest, "manifest.json": Buffer.from("{") })).rejects.toEqual(fails("BUNDLE_INVALID", /JSON/));
});

test("other files are checked when they are read", async () => {
  const bundle = await open({ ...toyBundle(), "card.md": Buffer.from("# bad\n") });
  await expect(bundle.read("card.md")).rejects.toEqual(fails("BUNDLE_INVALID", /card\.md: expected sha256/));
});

test("a graph must be what its manifest says, and have one", async () => {
  const { shape: _, ...input } = toyManifest().input;
  const lying = toyModel("images", { ...toyManifest(), input: { ...input, shape: ["N", 2, 3, 1] } });
  await expect(readBundle(lying)).rejects.toEqual(fails("BUNDLE_INVALID", /manifest's inputs are .*2, 3, 1/));
  const mute = smallModel([node("Relu", ["x"], ["y"])]);
  await expect(readBundle(mute)).rejects.toEqual(fails("BUNDLE_INVALID", /no clusterer/));
  const evil = toyBundle((same) => same, smallModel([node("Loop", ["x"], ["y"])]));
  await expect(open(evil)).rejects.toEqual(fails("GRAPH_REFUSED", /Loop/));
});

test("links, folders and oversize files inside a folder are refused, a link to the folder is not", async () => {
  const { "model.onnx": bytes, ...rest } = toyBundle();
  const outside = join(root, "outside.onnx");
  await writeFile(outside, bytes!);
  const linked = await folder("linked", rest);
  await symlink(outside, join(linked, "model.onnx"));
  await expect(readBundle(linked)).rejects.toEqual(fails("BUNDLE_INVALID", /is a link/));
  const nested = await folder("nested", rest);
  await mkdir(join(nested, "model.onnx"));
  await expect(readBundle(nested)).rejects.toEqual(fails("BUNDLE_INVALID", /expected a file/));
  const large = await folder("large", { ...rest, "model.onnx": Buffer.concat([bytes!, Buffer.alloc(1)]) });
  await expect(readBundle(large)).rejects.toEqual(fails("BUNDLE_INVALID", /expected up to/));
  await symlink(await folder("target", toyBundle()), join(root, "link"));
  expect((await readBundle(join(root, "link"))).manifest.name).toBe("toy");
  await expect(readBundle(join(root, "nowhere"))).rejects.toEqual(fails("BUNDLE_MISSING"));
});

test.each([
  ["a path out of it", zip({ ...toyBundle(), "../slip": Buffer.from("x") }), /not a path inside/],
  ["a link", zip({ ...toyBundle(), link: [Buffer.from("/etc"), { os: 3, attrs: 0o120777 << 16 }] }), /is a link/],
  ["deflated files", zipSync(toyBundle(), { level: 9 }), /compression method 8/],
  ["its end cut off", zip(toyBundle()).subarray(0, -1), /directory/],
  ["its start cut off", Buffer.concat([zip(toyBundle()).subarray(0, 4), zip(toyBundle()).subarray(9)]), /./],
  ["a comment", Buffer.concat([zip(toyBundle()), Buffer.from("more")]), /directory/],
])("a zip with %s is refused", async (_, bytes, message) => {
  await expect(readBundle(bytes)).rejects.toEqual(fails("BUNDLE_INVALID", message));
});

/** All a bundle holds, to compare. */
async function contents(bundle: Bundle): Promise<string> {
  const files = await Promise.all(bundle.files.map(({ path }) => bundle.read(path)));
  return JSON.stringify([bundle.manifest, bundle.files, files.map((bytes) => Buffer.from(bytes).toString("base64"))]);
}

test(`${sized(500, 20_000)} bundles with a byte flipped: each is refused with a type, or what it holds is unchanged`, async () => {
  const bytes = zip(toyBundle());
  const good = await contents(await readBundle(bytes));
  const random = new Random(1, "flips");
  let refused = 0;
  for (let i = 0; i < sized(500, 20_000); i++) {
    const spoilt = Uint8Array.from(bytes);
    spoilt[random.bits() % bytes.length]! ^= 1 + (random.bits() % 255);
    try {
      expect(await contents(await readBundle(spoilt))).toBe(good);
    } catch (error) {
      expect(error).toBeInstanceOf(SubspanError);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(sized(400, 16_000));
}, 300_000);

describe("over the network", () => {
  const files = toyBundle();
  let cut = "";
  const server = createServer((request, response) => {
    const path = request.url!.replace("/toy/", "");
    const bytes = files[path];
    if (bytes === undefined) return response.writeHead(404).end();
    if (path !== cut) return response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    response.writeHead(200, { "content-length": bytes.length });
    return response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
  });
  let url: string;
  beforeAll(async () => {
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/toy`;
  });
  afterAll(() => new Promise((closed) => server.close(closed)));

  test.each([
    ["manifest.json", ""],
    ["model.onnx", ""],
    ["model.onnx", "/model.onnx"],
  ])("a download of %s that stops is told as such, asked for at toy%s", async (path, under) => {
    cut = path;
    await expect(readBundle(url + under)).rejects.toEqual(
      fails("BUNDLE_TRUNCATED", new RegExp(`${path}: expected \\d+ bytes`)),
    );
    cut = "";
  });

  test("a hash pins a folder, a file and bytes", async () => {
    const manifest = { sha256: sha256(files["manifest.json"]!) };
    const model = { sha256: sha256(files["model.onnx"]!) };
    for (const [source, pin] of [
      [url, manifest],
      [`${url}/model.onnx`, model],
      [files["model.onnx"]!, model],
    ] as const) {
      expect((await readBundle(source, pin)).manifest.name).toBe("toy");
      const other = { sha256: "0".repeat(64) };
      await expect(readBundle(source, other)).rejects.toEqual(fails("BUNDLE_INVALID", /expected sha256 0000/));
    }
  });

  test("reading tells of each file as it goes, and stops when it is told to", async () => {
    const told: string[] = [];
    const controller = new AbortController();
    const onProgress = (event: LoadProgress) => {
      told.push([event.status, "file" in event ? event.file : ""].join(" "));
      if (event.status === "done") controller.abort(new Error("enough"));
    };
    await expect(readBundle(url, { onProgress, signal: controller.signal })).rejects.toEqual(
      fails("INTERRUPTED", "stopped: enough"),
    );
    expect(told).toEqual(["initiate", "download", "progress", "done"].map((status) => `${status} manifest.json`));
    await expect(readBundle(url, { signal: AbortSignal.abort() })).rejects.toEqual(fails("INTERRUPTED"));
  });
});
