import type { FileCache } from "./bundle.ts";

const NAME = "subspan";
/** The Cache API keys by URL: a host that can be nobody's, and the hash. */
const keyOf = (sha256: string) => `https://subspan.invalid/${sha256}`;

/**
 * The browser's Cache API as a store of files by their hash, for all pages of an origin. Where there is none, as on a
 * page without HTTPS, or it is full or forbidden, nothing is kept and nothing fails: every load asks the network.
 */
export const webCache: FileCache = {
  async get(sha256) {
    const found = await withCache((cache) => cache.match(keyOf(sha256)));
    return found === undefined ? undefined : new Uint8Array(await found.arrayBuffer());
  },
  async put(sha256, bytes) {
    await withCache((cache) => cache.put(keyOf(sha256), new Response(bytes as Uint8Array<ArrayBuffer>)));
  },
};

/** Forgets all bundle files kept in this browser for this origin. @returns whether there were any. */
export async function clearCache(): Promise<boolean> {
  return (await globalThis.caches?.delete(NAME)) ?? false;
}

async function withCache<T>(use: (cache: Cache) => Promise<T>): Promise<T | undefined> {
  try {
    return await use(await caches.open(NAME));
  } catch {
    return undefined;
  }
}
