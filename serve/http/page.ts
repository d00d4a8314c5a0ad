/** The browser page: the static files that were built beside this server. */
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, extname, join, sep } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Context } from "hono";

interface PageFile {
  readonly file: string;
  readonly type: string;
  readonly size: number;
  readonly etag: string;
}

/** Files by the path they are asked for by, found once: no request ever becomes a path. */
export interface Page {
  readonly files: ReadonlyMap<string, PageFile>;
}

/** Beside this one, once built: a folder of files, none of which is imported. */
const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "../../web/");
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".wasm": "application/wasm",
  ".onnx": "application/octet-stream",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".svg": "image/svg+xml",
  ".ico": "image/x-icon",
  ".txt": "text/plain; charset=utf-8",
};
/** Threads of WebAssembly need memory that pages share, which browsers give to isolated pages alone. */
const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "cache-control": "no-cache",
};

/** Finds the page's files; none where it was not built. Sources are no page: it has an index.html and no .ts. */
export async function findPage(folder = FOLDER): Promise<Page> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = new Map<string, PageFile>();
  for (const entry of found) {
    if (!entry.isFile()) continue;
    if (entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts")) return { files: new Map() };
    const file = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = await stat(file);
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    const etag = `"${size.toString(36)}-${Math.round(mtimeMs).toString(36)}"`;
    files.set(`/${file.slice(folder.length).split(sep).join("/")}`, { file, type, size, etag });
  }
  return { files };
}

export function pageFile(c: Context, { files }: Page, path: string): Response {
  const { file, type, size, etag } = files.get(path)!;
  const headers = { ...HEADERS, etag };
  if (c.req.header("if-none-match") === etag) return c.body(null, 304, headers);
  const told = { ...headers, "content-type": type, "content-length": String(size) };
  if (c.req.method === "HEAD") return c.body(null, 200, told);
  return c.body(Readable.toWeb(createReadStream(file)) as ReadableStream, 200, told);
}

/**
 * What a person sees first: the page with the one bundle there is, or with the one its address names; where there are
 * several a list of them; and a few words where the page was not built.
 *
 * @param models - their names, which hold no character that HTML gives a meaning.
 */
export async function home(c: Context, { files }: Page, models: readonly string[]): Promise<Response> {
  const index = files.get("/index.html");
  const chosen = c.req.query("bundle") !== undefined;
  if (index === undefined || (models.length !== 1 && !chosen)) return c.html(listPage(index !== undefined, models));
  const html = await readFile(index.file, "utf8");
  const meta = `<meta name="subspan-bundle" content="/bundles/${models[0]}">`;
  return c.html(chosen ? html : html.replace("<head>", `<head>\n${meta}`), 200, HEADERS);
}

function listPage(built: boolean, models: readonly string[]): string {
  const item = (name: string) => `<li>${built ? `<a href="/?bundle=/bundles/${name}">${name}</a>` : name}</li>`;
  const note = built
    ? "Assign in the browser, with:"
    : "The page that assigns in the browser is not part of this build.";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>subspan</title>
<h1>subspan</h1>
<p>This server assigns samples to clusters. <a href="/docs">How to ask it</a>.</p>
<p>${note}</p>
<ul>${models.map(item).join("")}</ul>
</html>
`;
}
