/**
 * Keeps the page working without a network: the page itself is stored when it is first visited, the WebAssembly that it
 * runs when that is first asked for, a bundle's manifest (its other files are stored by the runtime, by their hash) or
 * .subspan file as it was last seen. Besides, it gives the page the headers of a cross-origin isolated one, so that from
 * the second visit on WebAssembly has threads on any static host.
 */

/** Files of the build; written in by it. */
declare const __SHELL__: readonly string[];
declare const __VERSION__: string;

/** Of TypeScript's WebWorker library, which cannot stand beside the DOM's. */
interface WorkerEvent extends Event {
  waitUntil(task: Promise<unknown>): void;
}
interface FetchEvent extends WorkerEvent {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface Scope {
  readonly clients: { claim(): Promise<void> };
  readonly registration: { readonly scope: string };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: WorkerEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
}

const scope = globalThis as unknown as Scope;
/** Also in offline.ts: a service worker imports nothing. */
const MANIFESTS = "subspan-manifests";
/** Sites beside each other on one host keep their own. */
const PREFIX = `subspan-page-${scope.registration.scope}-`;
const CACHE = PREFIX + __VERSION__;

scope.addEventListener("install", (event) => {
  const store = async () => (await caches.open(CACHE)).addAll(["./", "index.html", ...__SHELL__]);
  event.waitUntil(store().then(() => scope.skipWaiting()));
});

scope.addEventListener("activate", (event) => {
  const old = async () => (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  const forget = async () => Promise.all((await old()).map((name) => caches.delete(name)));
  event.waitUntil(forget().then(() => scope.clients.claim()));
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const path = url.href.startsWith(scope.registration.scope)
    ? url.pathname.slice(new URL(scope.registration.scope).pathname.length)
    : "/";
  if (request.method !== "GET") return;
  if (request.mode === "navigate" && /^(index\.html)?$/.test(path)) event.respondWith(page(request));
  else if (/(^|\/)manifest\.json$|\.subspan$/.test(url.pathname)) event.respondWith(lastSeen(request));
  else if (path.startsWith("assets/") || __SHELL__.includes(path)) event.respondWith(stored(request));
});

/** The page as the network has it now, or as it was. A server of several bundles has a list of them where none is named. */
async function page(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const name = new URL(request.url).searchParams.has("bundle") ? "index.html" : "./";
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(name, response.clone());
    if (response.ok) return isolated(response);
  } catch {
    // No network: what is stored is the answer.
  }
  return isolated((await cache.match(name)) ?? Response.error());
}

/** What is stored, or fetched and stored: a file of the build never changes under its name. */
async function stored(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const found = await cache.match(request, { ignoreSearch: true, ignoreVary: true });
  if (found !== undefined) return isolated(found);
  const response = await fetch(request);
  if (response.status === 200) await cache.put(request, response.clone());
  return isolated(response);
}

/** As the network has it now, or as it was. */
async function lastSeen(request: Request): Promise<Response> {
  const cache = await caches.open(MANIFESTS);
  try {
    const response = await fetch(request);
    if (response.status === 200) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const found = await cache.match(request);
    if (found !== undefined) return found;
    throw error;
  }
}

function isolated(response: Response): Response {
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set("cross-origin-opener-policy", "same-origin");
  headers.set("cross-origin-embedder-policy", "require-corp");
  headers.set("cross-origin-resource-policy", "same-origin");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
