import { readFile } from "node:fs/promises";
import { createServer, type OutgoingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".wasm": "application/wasm",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".svg": "image/svg+xml",
};
const ISOLATION = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

export interface SiteOptions {
  /** Whether pages are cross-origin isolated, which threads of WebAssembly need. */
  readonly isolated?: boolean;
  /** Files by path ("/bundle/model.onnx"), before those of the folder. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
  /** What "/" is where its query names no bundle, as on our server of several. */
  readonly list?: string;
}

/** A static site on a port of its own. */
export interface Site {
  readonly url: string;
  /** What was asked for since, in order, and how many bytes of body were sent for it. */
  readonly requests: { readonly path: string; readonly bytes: number }[];
  close(): Promise<void>;
}

/** Serves a folder and files from memory over HTTP, as any static host does; 404 for the rest. */
export async function serveSite(folder: string | undefined, options: SiteOptions = {}): Promise<Site> {
  const { isolated = false, files = {}, list } = options;
  const requests: Site["requests"] = [];
  const server: Server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://site");
    const isList = list !== undefined && pathname === "/" && !searchParams.has("bundle");
    const path = normalize(pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    const body = isList ? list : (files[path] ?? (await fileOf(folder, path)));
    requests.push({ path, bytes: body?.length ?? 0 });
    const keep = path.startsWith("/assets/") ? "max-age=31536000, immutable" : "no-store"; // Vite's names have hashes
    const headers: OutgoingHttpHeaders = { "cache-control": keep, ...(isolated ? ISOLATION : {}) };
    if (body === undefined) return response.writeHead(404, headers).end();
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    response.writeHead(200, { ...headers, "content-type": type, "content-length": Buffer.byteLength(body) }).end(body);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const close = () =>
    new Promise<void>((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, close };
}

async function fileOf(folder: string | undefined, path: string): Promise<Uint8Array | undefined> {
  if (folder === undefined) return undefined;
  return readFile(join(folder, path)).catch(() => undefined);
}
