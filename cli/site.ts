import { cp, lstat, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeFolderAtomic } from "../export/files.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { GraphManifest } from "../runtime/manifest.ts";
import { type Bundle, readBundle } from "../runtime/node.ts";
import { packageVersion } from "../runtime/node-version.ts";

/** A static site to be written. */
export interface SiteRequest {
  /** A folder; nothing may be in it but such a site. */
  readonly out: string;
  /** Replaces whatever is in the folder. */
  readonly force: boolean;
  /** The built page; the one of this package unless said. */
  readonly page?: string;
}

/** The bundle's folder in a site, and the file that says that a folder is one. */
const BUNDLE = "bundle/";
const MARKER = "subspan-site.json";
/** `npm run build` puts the page beside this file's own folder. */
const PAGE = fileURLToPath(new URL("../web", import.meta.url));

/**
 * Refuses a place that a site would destroy, and a page that is not built.
 *
 * @throws {SubspanError} USAGE, DEPENDENCY_MISSING.
 */
export async function checkSite({ out, force, page = PAGE }: SiteRequest): Promise<void> {
  const built = await readFile(join(page, "service-worker.js")).catch(() => undefined);
  if (built === undefined)
    throw new SubspanError("DEPENDENCY_MISSING", `${page}: the page is not built; npm run build does it`);
  const found = await lstat(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new SubspanError("USAGE", `${out}: cannot be written: ${error.message}`, { cause: error });
  });
  if (found === undefined) return;
  if (!found.isDirectory()) throw new SubspanError("USAGE", `--web ${out}: expected a folder, there is a file`);
  const names = await readdir(out);
  if (force || names.length === 0 || names.includes(MARKER)) return;
  const what = `holds ${names[0]}, and no site of ours (it has no ${MARKER})`;
  throw new SubspanError("USAGE", `--web ${out}: ${what}; choose another folder, or replace it all with --force`);
}

/**
 * Writes the page with a bundle inside, which it opens by itself: files for any static host. The folder appears whole or
 * not at all.
 *
 * @param source - a bundle's folder or `.subspan` file.
 * @returns its size in bytes.
 * @throws {SubspanError} as checkSite, and for a bundle that does not load.
 */
export async function writeSite(source: string, request: SiteRequest): Promise<number> {
  await checkSite(request);
  const { out, page = PAGE } = request;
  const bundle = await readBundle(source);
  const { manifest } = bundle;
  const texts = {
    "index.html": opening(await readFile(join(page, "index.html"), "utf8"), manifest),
    "README.md": readme(manifest),
    _headers: HEADERS,
    [MARKER]: `${JSON.stringify({ subspan: packageVersion(), bundle: manifest.name, created: manifest.created })}\n`,
  };
  await writeFolderAtomic(out, async (folder) => {
    await cp(page, folder, { recursive: true });
    for (const [path, text] of Object.entries(texts)) await writeFile(join(folder, path), text);
    await rm(join(folder, BUNDLE), { recursive: true, force: true });
    await copyBundle(bundle, join(folder, BUNDLE));
  });
  return sizeOf(out);
}

async function copyBundle({ manifest, files, read }: Bundle, folder: string): Promise<void> {
  if (files.length === 0) throw new SubspanError("USAGE", "--web: expected a bundle, got a bare graph");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "manifest.json"), `${JSON.stringify({ ...manifest, files }, null, 2)}\n`);
  for (const { path } of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), await read(path));
  }
}

/** The page's HTML, told which bundle to open. */
function opening(html: string, { name }: GraphManifest): string {
  return html.replace(
    "<title>subspan</title>",
    `<title>${name} – subspan</title>\n<meta name="subspan-bundle" content="${BUNDLE}">`,
  );
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async (file) => (await lstat(join(file.parentPath, file.name))).size));
  return sizes.reduce((a, b) => a + b, 0);
}

/** As Netlify, Cloudflare Pages and others read it. */
const HEADERS = `/*
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
/assets/*
  Cache-Control: public, max-age=31536000, immutable
`;

function readme({ name, clusters, input, licence }: GraphManifest): string {
  return `# ${name}, in the browser

A static site: the subspan page with the bundle \`${name}\` inside (${clusters} clusters of ${input.kind}; licence of the
bundle: ${licence}). It assigns samples in the visitor's browser and sends them nowhere. Put this folder on any static
host, at any path; nothing runs on the server.

Try it here: \`npx --yes serve .\` or \`python3 -m http.server\`, then open the address that it prints. From a
\`file:\` address it does not run: browsers give such pages no workers.

## What the host should do

- **HTTPS** (or localhost). Without it there is no WebGPU, no hash check of the bundle, no use without a network.
- **MIME types**: \`.wasm\` as \`application/wasm\` (otherwise it starts more slowly), \`.js\` as \`text/javascript\`
  (otherwise it does not start).
- **Two headers on every file**, for WebAssembly with more than one thread:

      Cross-Origin-Opener-Policy: same-origin
      Cross-Origin-Embedder-Policy: require-corp

  Without them the first visit has 1 thread. From the second visit on the page's service worker adds them, so a host
  that cannot set headers (GitHub Pages) is slower once. \`_headers\` sets them on Netlify and Cloudflare Pages. nginx:

      add_header Cross-Origin-Opener-Policy same-origin always;
      add_header Cross-Origin-Embedder-Policy require-corp always;
      location ~ \\.wasm$ { types { application/wasm wasm; } }  # at the server's level it would be the only type

- **Caching**: what is in \`assets/\` never changes under its name and may be kept for ever. \`index.html\`,
  \`service-worker.js\` and \`${BUNDLE}manifest.json\` should be asked for anew.
- **Compression** (gzip or brotli) of \`.wasm\` and \`.js\`: 14 MB of WebAssembly become 3 to 4, 27 MB with WebGPU 5 to 7.
  A browser fetches only the one that it runs.

\`subspan export --web\` writes this folder anew, whole; changes in it are lost then.
`;
}
