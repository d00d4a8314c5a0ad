/** The bundles that are served, for browsers that would rather run them themselves. */
import type { Context } from "hono";
import { HttpProblem } from "../problem.ts";
import type { ServedVersion } from "../repository/repository.ts";

/** Each model's newest version, and where `loadClusterer` finds it. */
export function bundleList(versions: readonly ServedVersion[]) {
  const bundles = new Map<string, object>();
  for (const { name, version, bundle } of versions.toSorted((a, b) => (BigInt(a.version) < BigInt(b.version) ? -1 : 1)))
    bundles.set(name, { name, version, url: `/bundles/${name}`, clusters: bundle.manifest.clusters });
  return { bundles: [...bundles.values()] };
}

/**
 * One file of a bundle, by a lookup among those its manifest names.
 *
 * @throws {HttpProblem} 404 for another.
 */
export function bundleFile(c: Context, { name, bundle }: ServedVersion, path: string): Response {
  const { manifest, files } = bundle;
  if (path === "manifest.json") {
    const listed = files.map(({ path, size, sha256 }) => ({ path, size, sha256 }));
    return c.json({ ...manifest, files: listed }, 200, { "cache-control": "no-cache" });
  }
  const file = files.find((file) => file.path === path);
  if (file === undefined) throw new HttpProblem(404, `bundle "${name}": no file ${JSON.stringify(path)}`);
  const etag = `"${file.sha256}"`;
  const headers = { etag, "cache-control": "no-cache" };
  if (c.req.header("if-none-match") === etag) return c.body(null, 304, headers);
  const type = path.endsWith(".json") ? "application/json" : "application/octet-stream";
  return c.body(Uint8Array.from(file.bytes), 200, {
    ...headers,
    "content-type": type,
    "content-length": String(file.size),
  });
}
