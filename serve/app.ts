import { createRequire } from "node:module";
import { type Context, Hono } from "hono";
import type { OutputName } from "../runtime/node.ts";
import { assignAnswer, readSamples } from "./assign.ts";
import { contentType, parseJsonBody, readBody } from "./body.ts";
import { inferResponse, modelMetadata, parseInferRequest } from "./inference-protocol.ts";
import { HttpProblem, problemAnswer } from "./problem.ts";
import { Registry, type ServedClusterer } from "./registry.ts";

export interface AppOptions {
  /** Each goes by the name its manifest gives. The app does not dispose them. */
  readonly clusterers: Iterable<ServedClusterer>;
  /** Bytes of a request's body; 64 MiB unless said. */
  readonly bodyLimit?: number;
  /** Samples of a request; 4,096 unless said. */
  readonly maxBatch?: number;
  /** Told of every error that is answered with a status from 500 on; stderr unless said. */
  readonly onFault?: (error: unknown) => void;
}

type Method = "GET" | "POST";
type Routes = Readonly<Record<string, { readonly method: Method; readonly answer: (c: Context) => unknown }>>;

/**
 * The routes of the server, to be run by any host of web-standard requests: the Open Inference Protocol v2 under
 * /v2, and `assign` beside its `infer`. Every failure answers with `{"error": message}`.
 *
 * @throws {SubspanError} USAGE for no clusterer, or two of one name.
 */
export function createApp(options: AppOptions): Hono {
  const { onFault = console.error } = options;
  const app = new Hono({ strict: false });
  for (const [path, { method, answer }] of Object.entries(routes(options))) {
    app.on(method, path, async (c) => c.json((await answer(c)) as object));
    app.all(path, (c) => {
      const allow = method === "GET" ? "GET, HEAD" : method;
      throw new HttpProblem(405, `${c.req.method} ${c.req.path}: expected ${allow}`, { allow });
    });
  }
  app.notFound((c) => c.json({ error: `nothing at ${c.req.path.slice(0, 200)}; the routes begin with /v2` }, 404));
  app.onError((error, c) => {
    const { status, body, headers } = problemAnswer(error);
    if (status >= 500) onFault(error);
    return c.json(body, status, headers);
  });
  return app;
}

/** Path -> what it answers, as JSON. A model's routes are there with its version and without. */
function routes({ clusterers, bodyLimit = 2 ** 26, maxBatch = 4096 }: AppOptions): Routes {
  const registry = new Registry(clusterers);
  const modelOf = (c: Context) => registry.get(c.req.param("model") ?? "", c.req.param("version"));
  const limits = { bodyLimit, maxBatch };
  const model: Routes = {
    "": { method: "GET", answer: (c) => modelMetadata(modelOf(c).info.manifest) },
    "/ready": { method: "GET", answer: (c) => ({ name: modelOf(c).info.name, ready: true }) },
    "/infer": { method: "POST", answer: (c) => infer(modelOf(c), c.req.raw, limits) },
    "/assign": { method: "POST", answer: (c) => assign(modelOf(c), c.req.raw, limits) },
  };
  const under = (prefix: string) => Object.entries(model).map(([path, route]) => [prefix + path, route] as const);
  const version = packageVersion();
  return {
    "/v2": { method: "GET", answer: () => ({ name: "subspan", version, extensions: [] }) },
    "/v2/health/live": { method: "GET", answer: () => ({ live: true }) },
    "/v2/health/ready": { method: "GET", answer: () => ({ ready: true }) },
    ...Object.fromEntries([...under("/v2/models/:model"), ...under("/v2/models/:model/versions/:version")]),
  };
}

type Limits = Required<Pick<AppOptions, "bodyLimit" | "maxBatch">>;

async function infer(clusterer: ServedClusterer, request: Request, { bodyLimit, maxBatch }: Limits) {
  const { manifest } = clusterer.info;
  const type = contentType(request);
  if (type !== "application/json" && type !== "")
    throw new HttpProblem(415, `content-type: expected application/json, got ${JSON.stringify(type)}`);
  if (request.headers.has("inference-header-content-length"))
    throw new HttpProblem(415, "inference-header-content-length: binary tensors are not served, send data as JSON");
  const parsed = parseInferRequest(parseJsonBody(await readBody(request, bodyLimit)), manifest, maxBatch);
  const assignments = await clusterer.assign<OutputName>(parsed.input, { outputs: parsed.outputs });
  return inferResponse(manifest, parsed, assignments);
}

async function assign(clusterer: ServedClusterer, request: Request, limits: Limits) {
  const samples = await readSamples(request, limits);
  return assignAnswer(await clusterer.assign(samples), samples.length, clusterer.info.manifest);
}

function packageVersion(): string {
  return (createRequire(import.meta.url)("subspan/package.json") as { readonly version: string }).version;
}
