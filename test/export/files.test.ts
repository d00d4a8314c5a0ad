import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { writeFileAtomic, writeFolderAtomic } from "../../export/files.ts";

/** Renames onto this path fail once. */
let refused = "";
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const rename = async (from: string, to: string) => {
    if (to !== refused) return real.rename(from, to);
    refused = "";
    throw new Error("rename refused");
  };
  return { ...real, rename };
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-files-"));
});
afterEach(() => rm(folder, { recursive: true }));

const text = (...names: string[]) => readFile(join(folder, ...names), "utf8");

test("a file is replaced, its folder is made, and nothing else is left", async () => {
  const path = join(folder, "a", "b.txt");
  await writeFileAtomic(path, "old");
  await writeFileAtomic(path, new TextEncoder().encode("new"));
  expect(await text("a", "b.txt")).toBe("new");
  expect(await readdir(join(folder, "a"))).toEqual(["b.txt"]);
});

test("a write that fails half way leaves the old content and no temporary file", async () => {
  const path = join(folder, "b.txt");
  await writeFileAtomic(path, "old");
  async function* failing() {
    yield new Uint8Array(100_000);
    throw new Error("disk full");
  }
  await expect(writeFileAtomic(path, failing())).rejects.toThrow("disk full");
  expect(await text("b.txt")).toBe("old");
  expect(await readdir(folder)).toEqual(["b.txt"]);
});

test("a rename that fails leaves no temporary file", async () => {
  await mkdir(join(folder, "b", "full"), { recursive: true });
  await expect(writeFileAtomic(join(folder, "b"), "new")).rejects.toThrow();
  expect(await readdir(folder)).toEqual(["b"]);
});

test("the replaced file is kept where asked", async () => {
  const path = join(folder, "b.txt");
  for (const content of ["one", "two", "three"])
    await writeFileAtomic(path, content, { keep: join(folder, "old.txt") });
  expect([await text("b.txt"), await text("old.txt")]).toEqual(["three", "two"]);
});

test("twenty writers at once leave one whole content", async () => {
  const path = join(folder, "b.txt");
  await Promise.all(Array.from({ length: 20 }, (_, i) => writeFileAtomic(path, String(i).repeat(10_000))));
  expect(new Set((await text("b.txt")).match(/../g)).size).toBe(1);
  expect(await readdir(folder)).toEqual(["b.txt"]);
});

test("a folder replaces the old one whole, sub-folders included", async () => {
  const path = join(folder, "bundle");
  await writeFolderAtomic(path, (temporary) => writeFile(join(temporary, "old.txt"), ""));
  await writeFolderAtomic(path, async (temporary) => {
    await mkdir(join(temporary, "parts"));
    await writeFile(join(temporary, "parts", "new.txt"), "new");
  });
  expect(await readdir(folder)).toEqual(["bundle"]);
  expect((await readdir(path, { recursive: true })).sort()).toEqual(["parts", join("parts", "new.txt")]);
});

test("a folder that fails to build leaves the old one and nothing else", async () => {
  const path = join(folder, "bundle");
  await writeFolderAtomic(path, (temporary) => writeFile(join(temporary, "a.txt"), "old"));
  const failing = async (temporary: string) => {
    await writeFile(join(temporary, "a.txt"), "half");
    throw new Error("no graph");
  };
  await expect(writeFolderAtomic(path, failing)).rejects.toThrow("no graph");
  expect(await readdir(folder)).toEqual(["bundle"]);
  expect(await text("bundle", "a.txt")).toBe("old");
});

test("a swap that fails puts the old folder back", async () => {
  const path = join(folder, "bundle");
  await writeFolderAtomic(path, (temporary) => writeFile(join(temporary, "a.txt"), "old"));
  const replacement = writeFolderAtomic(path, (temporary) => {
    refused = path;
    return writeFile(join(temporary, "a.txt"), "new");
  });
  await expect(replacement).rejects.toThrow("rename refused");
  expect(await text("bundle", "a.txt")).toBe("old");
  expect(await readdir(folder)).toEqual(["bundle"]);
});

test("an old folder left behind by a killed swap is put back before the next", async () => {
  await mkdir(join(folder, ".bundle.old"));
  await writeFile(join(folder, ".bundle.old", "a.txt"), "old");
  const failing = () => Promise.reject(new Error("no graph"));
  await expect(writeFolderAtomic(join(folder, "bundle"), failing)).rejects.toThrow("no graph");
  expect(await text("bundle", "a.txt")).toBe("old");
});
