import type { IncomingMessage, ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { type Context, Hono } from "hono";
import type { Metrics } from "../metrics.ts";
import { HttpProblem, problemAnswer } from "../problem.ts";
import { parseJson } from "../protocol/json.ts";
import { type Batching, EXTENSIONS, modelConfiguration, modelMetadata } from "../protocol/metadata.ts";
import type { ServedVersion } from "../repository/repository.ts";
import type { Access, Scope } from "./access.ts";
import { readBody } from "./body.ts";
import { bundleFile, bundleList } from "./bundles.ts";
import type { Call } from "./call.ts";
import { DOCS_FILES } from "./docs-page.ts";
import { type Inference, runModel } from "./inference.ts";
import { openApi } from "./openapi.ts";
import { home, type Page, pageFile } from "./page.ts";
import { sendJson } from "./send.ts";

/** Of every request, beside what Hono makes of it. */
export interface Bindings {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly call: Call;
}

export interface AppParts extends Inference {
  /** Of this package. */
  readonly version: string;
  readonly access: Access;
  readonly metrics: Metrics;
  readonly batching: Batching;
  /** Why the server is not ready; undefined when it is. */
  readonly notReady: () => string | undefined;
  readonly page: Page;
}

const INDEX_BYTES = 2 ** 16;

type Ctx = Context<{ Bindings: Bindings }>;

/** What a path answers to one method: JSON, a response of its own, or nothing where it has sent one. */
interface Route {
  readonly method: "GET" | "POST";
  readonly scope: Scope;
  readonly answer: (c: Ctx) => unknown;
}

/**
 * The routes of the server: the Open Inference Protocol v2 with its extensions under /v2, `assign` beside its `infer`,
 * metrics, documentation, the browser page and the bundles it opens. Every failure answers with `{"error": message}`.
 */
export function createApp(parts: AppParts): Hono<{ Bindings: Bindings }> {
  const app = new Hono<{ Bindings: Bindings }>({ strict: false });
  for (const [path, { method, scope, answer }] of routes(parts)) {
    app.on(method, path, async (c) => {
      const { incoming, outgoing } = c.env;
      parts.access.check(scope, incoming.headers.authorization, incoming.headers.origin);
      const answered = await answer(c);
      if (answered instanceof Response) return answered;
      if (answered !== undefined) sendJson(outgoing, 200, answered);
      return RESPONSE_ALREADY_SENT;
    });
    app.all(path, (c) => {
      const allow = method === "GET" ? "GET, HEAD" : method;
      throw new HttpProblem(405, `${c.req.method} ${c.req.path}: expected ${allow}`, { allow });
    });
  }
  app.notFound((c) => {
    throw new HttpProblem(404, `nothing at ${c.req.path.slice(0, 200)}; /docs lists what there is`);
  });
  app.onError((error, c) => {
    const { status, body, headers } = problemAnswer(error);
    if (status >= 500) c.env.call.fault = error;
    sendJson(c.env.outgoing, status, body, headers);
    return RESPONSE_ALREADY_SENT;
  });
  return app;
}

/** In the order they are looked at. */
function routes(parts: AppParts): readonly (readonly [path: string, Route])[] {
  const model = modelRoutes(parts);
  return [
    ...Object.entries(serverRoutes(parts)),
    ...["", "/versions/:version", "/labels/:label"].flatMap((way) =>
      Object.entries(model).map(([path, route]) => [`/v2/models/:model${way}${path}`, route] as const),
    ),
  ];
}

function serverRoutes(parts: AppParts): Readonly<Record<string, Route>> {
  const { version, repository, metrics, notReady, page } = parts;
  const get = (scope: Scope, answer: Route["answer"]): Route => ({ method: "GET", scope, answer });
  const post = (scope: Scope, answer: Route["answer"]): Route => ({ method: "POST", scope, answer });
  const name = (c: Ctx) => c.req.param("model") ?? "";
  return {
    "/v2": get("inference", () => ({ name: "subspan", version, extensions: EXTENSIONS })),
    "/v2/health/live": get("open", () => ({ live: true })),
    "/v2/health/ready": get("open", () => readiness(notReady())),
    "/v2/models/stats": get("inference", () => statistics(repository.versions)),
    "/v2/repository/index": post("admin", async (c) => {
      const { ready } = await indexRequest(c, parts);
      return repository.index().filter(({ state }) => ready !== true || state === "READY");
    }),
    "/v2/repository/models/:model/load": post("admin", async (c) => {
      await repository.load(name(c));
      return {};
    }),
    "/v2/repository/models/:model/unload": post("admin", async (c) => {
      await repository.unload(name(c));
      return {};
    }),
    "/metrics": get("inference", async (c) =>
      c.text(await metrics.text(), 200, { "content-type": metrics.contentType }),
    ),
    "/openapi.json": get("open", () => openApi(version, repository.versions)),
    ...Object.fromEntries(
      Object.entries(DOCS_FILES).map(([path, { type, text }]) => [
        path,
        get("open", (c) =>
          c.body(text, 200, { "content-type": type, "content-security-policy": "default-src 'self'" }),
        ),
      ]),
    ),
    "/bundles": get("inference", () => bundleList(repository.versions)),
    "/bundles/:model/:file{.+}": get("inference", (c) =>
      bundleFile(c, repository.get(name(c)), c.req.param("file") as string),
    ),
    "/": get("open", (c) => home(c, page, repository.names)),
    ...Object.fromEntries([...page.files.keys()].map((path) => [path, get("open", (c) => pageFile(c, page, path))])),
  };
}

/** The routes of a model, whichever way its version is named. */
function modelRoutes(parts: AppParts): Readonly<Record<string, Route>> {
  const { repository, batching } = parts;
  const modelOf = (c: Ctx) => {
    const { model = "", version, label } = c.req.param() as Readonly<Record<string, string | undefined>>;
    return repository.get(model, version, label);
  };
  const get = (answer: (model: ServedVersion) => unknown): Route => ({
    method: "GET",
    scope: "inference",
    answer: (c) => answer(modelOf(c)),
  });
  const run = (kind: "infer" | "assign"): Route => ({
    method: "POST",
    scope: "inference",
    answer: (c) => runModel(kind, modelOf(c), c.env, parts),
  });
  const about = ({ name, bundle }: ServedVersion) => [name, repository.versionsOf(name), bundle.manifest] as const;
  return {
    "": get((model) => modelMetadata(...about(model))),
    "/ready": { ...get(({ name }) => ({ name, ready: true })), scope: "open" },
    "/config": get((model) => modelConfiguration(...about(model), batching)),
    "/stats": get((model) => statistics([model])),
    "/infer": run("infer"),
    "/assign": run("assign"),
  };
}

/** What the index is asked for: an object, or nothing. @throws {HttpProblem} 400. */
async function indexRequest({ env }: Ctx, { budget, limits }: AppParts): Promise<{ readonly ready?: unknown }> {
  const { pieces, size, held } = await readBody(env.incoming, INDEX_BYTES, budget);
  budget.give(held);
  const json = size === 0 ? {} : parseJson(Buffer.concat(pieces), limits.jsonDepth);
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json;
  throw new HttpProblem(400, 'body: expected {"ready": true} or none');
}

/** @throws {HttpProblem} 503. */
function readiness(reason: string | undefined) {
  if (reason !== undefined) throw new HttpProblem(503, `not ready: ${reason}`, { "retry-after": "1" });
  return { ready: true };
}

function statistics(versions: readonly ServedVersion[]) {
  return { model_stats: versions.map(({ name, version, statistics }) => statistics.told(name, version)) };
}
