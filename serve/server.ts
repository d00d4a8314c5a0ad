import { availableParallelism } from "node:os";
import { type Device, type Precision, SubspanError } from "../runtime/node.ts";
import { packageVersion } from "../runtime/node-version.ts";
import { Batcher } from "./batcher.ts";
import { Access, type Tokens } from "./http/access.ts";
import { createApp } from "./http/app.ts";
import { Budget } from "./http/body.ts";
import { type CorsOrigins, checkedOrigin } from "./http/cors.ts";
import { type HandlerParts, logCall, requestHandler } from "./http/handler.ts";
import { listen } from "./http/listen.ts";
import { findPage } from "./http/page.ts";
import { Tracing } from "./http/tracing.ts";
import { LIMITS, type Limits } from "./limits.ts";
import { jsonLogger, type Logger } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Repository, type ServedVersion } from "./repository/repository.ts";
import type { Source } from "./repository/sources.ts";
import type { WorkerSettings } from "./workers/messages.ts";
import { Pool } from "./workers/pool.ts";

export interface ServeOptions {
  /** Bundles, models with versions, or folders of both: see `findVersions`. */
  readonly bundles: readonly Source[];
  /** This machine alone, 127.0.0.1, unless said. */
  readonly host?: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Threads that run models; as many as there are cores unless said, and one for WebGPU. */
  readonly workers?: number;
  /** Threads of one run; unless said, the workers share the cores. */
  readonly threads?: number;
  /** Where models run: the CPU unless said. */
  readonly device?: "auto" | Device;
  /** A device that fails is an error, not a fallback. */
  readonly strict?: boolean;
  /** Which of a bundle's graphs, fp32 unless said; auto is fp16 on a GPU that computes in it, if the bundle's agrees. */
  readonly dtype?: Precision | "auto";
  /** Samples of a run, 64 unless said: requests that wait are joined up to this. */
  readonly maxBatch?: number;
  /** How long a request waits for others to join it, in milliseconds; 0 unless said: no longer than for a worker. */
  readonly maxDelayMs?: number;
  readonly limits?: Partial<Limits>;
  /** None unless said. */
  readonly tokens?: Tokens;
  /** Pages of other origins that may ask: none unless said, "*" for all. */
  readonly cors?: CorsOrigins;
  /** How often files are looked at for changes, in milliseconds; 0, never, unless said. */
  readonly watchMs?: number;
  /** How long `close` goes on listening, so that clients and load balancers see that it closes; 0 unless said. */
  readonly lingerMs?: number;
  /** How long `close` waits for requests under way, in milliseconds; 10,000 unless said. */
  readonly graceMs?: number;
  /** Ends a start: it throws once the workers are done with what they open. A server that listens is closed by `close`. */
  readonly signal?: AbortSignal;
  /** Silent unless said. */
  readonly logger?: Logger;
  /** An OpenTelemetry collector to send traces to: "http://localhost:4318". None unless said. */
  readonly otlp?: string;
}

/** A model that is served. */
export interface ModelInfo {
  readonly name: string;
  readonly version: string;
  readonly device: Device;
  readonly clusters: number;
  readonly input: ServedVersion["bundle"]["manifest"]["input"];
}

/** A server that listens. */
export interface RunningServer {
  /** Where it is: "http://127.0.0.1:8000". */
  readonly url: string;
  readonly port: number;
  readonly workers: number;
  /** What it serves now. */
  readonly models: readonly ModelInfo[];
  /** Looks at the files at once, as watching does every so often. */
  refresh(): Promise<void>;
  /** Ends a worker as a crash would. Its requests are answered 503; another takes its place. */
  killWorker(index?: number): void;
  /** Answers what it has begun with, then frees everything. Calling it again changes nothing. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens bundles and serves them over HTTP until closed. It listens once every model has run. Signals are the caller's.
 *
 * @throws {SubspanError} USAGE for options that cannot be, nothing to serve, two models of one name, or an address that
 *   cannot be listened on; INTERRUPTED by `signal`; what `loadClusterer` throws. Then nothing is left open.
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const settings = settled(options);
  const parts = assemble(options, settings);
  const { repository, pool } = parts;
  let draining = false;
  let watching: NodeJS.Timeout | undefined;
  try {
    await repository.start(options.signal);
    const notReady = () => (draining ? "the server closes" : pool.alive === 0 ? "no worker is there" : undefined);
    const { host, port, limits, cors, tokens, watchMs, lingerMs, graceMs } = settings;
    const access = new Access(tokens, host);
    const traced = settings.otlp !== undefined;
    const app = createApp({ ...parts, version: packageVersion(), access, notReady, page: await findPage() });
    const handler = requestHandler({ app, cors, traced, draining: () => draining, onAnswered: parts.onAnswered });
    const listening = await listen(handler, host, port, limits);
    const watch = () => {
      watching = setTimeout(() => void repository.refresh().then(watch), watchMs).unref();
    };
    if (watchMs > 0) watch();
    const close = once(async () => {
      draining = true;
      clearTimeout(watching);
      await new Promise((resolve) => setTimeout(resolve, lingerMs));
      await listening.close(graceMs);
      await parts.dispose();
    });
    return {
      url: `http://${host.includes(":") ? `[${host}]` : host}:${listening.port}`,
      port: listening.port,
      workers: settings.workers,
      get models() {
        return repository.versions.map(modelInfo);
      },
      refresh: () => repository.refresh(),
      killWorker: (index = 0) => pool.kill(index, "it was told to end"),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await parts.dispose();
    throw error;
  }
}

type Settings = ReturnType<typeof settled>;

/** The options with all that was not said. @throws {SubspanError} USAGE for a number that cannot be. */
function settled(options: ServeOptions) {
  const { device = "cpu", limits = {} } = options;
  const cores = availableParallelism();
  const workers = options.workers ?? (device === "cpu" ? cores : 1);
  const settings = {
    host: "127.0.0.1",
    device,
    strict: false,
    dtype: "fp32" as Precision | "auto",
    maxBatch: 64,
    maxDelayMs: 0,
    tokens: { inference: [], admin: [] } as Tokens,
    cors: [] as CorsOrigins,
    watchMs: 0,
    lingerMs: 0,
    graceMs: 10_000,
    logger: jsonLogger("silent"),
    threads: Math.max(1, Math.floor(cores / workers)),
    ...options,
    workers,
    limits: { ...LIMITS, ...limits },
  };
  const { maxBatch, threads, port, maxDelayMs, watchMs, lingerMs, graceMs } = settings;
  checkNumbers({ workers, threads, maxBatch, ...settings.limits }, 1);
  checkNumbers({ port, maxDelayMs, watchMs, lingerMs, graceMs }, 0);
  if (port > 65535) throw new SubspanError("USAGE", `port: expected up to 65535, got ${port}`);
  return { ...settings, cors: settings.cors.map(checkedOrigin) };
}

function checkNumbers(numbers: Readonly<Record<string, number>>, least: number): void {
  for (const [name, value] of Object.entries(numbers))
    if (!(value >= least) || (name !== "maxDelayMs" && !Number.isSafeInteger(value)))
      throw new SubspanError("USAGE", `${name}: expected a number from ${least}, got ${value}`);
}

/** All that is inside, connected; nothing is loaded yet. */
function assemble({ bundles }: ServeOptions, settings: Settings) {
  const { workers, limits, maxBatch, maxDelayMs, dtype, logger, otlp } = settings;
  const metrics = new Metrics(() => ({
    queuedRequests: batcher.waiting,
    queuedBytes: budget.taken,
    workers: pool.alive,
    models: repository.versions.map(modelInfo),
  }));
  const pool = new Pool(workers, workerSettings(settings), {
    onIdle: () => batcher.schedule(),
    onLost: (reason) => {
      metrics.workerLost();
      logger.error({ reason }, "a worker was lost; another takes its place");
    },
  });
  const budget = new Budget(limits.queueBytes);
  const batcher = new Batcher(pool, budget, metrics, { maxBatch, maxDelayMs, limits });
  const repository = new Repository(bundles, dtype === "auto" ? "fp32" : dtype, pool, {
    onLoad: ({ name, version, opened }) => {
      metrics.load("loaded");
      logger.info({ model: name, version, device: opened.device }, "model loaded");
    },
    onRefused: (model, version, reason) => {
      metrics.load("refused");
      logger.error({ model, version, reason }, "model not loaded");
    },
    onUnload: ({ name, version }) => {
      metrics.load("unloaded");
      logger.info({ model: name, version }, "model unloaded");
    },
  });
  const tracing = otlp === undefined ? undefined : new Tracing(otlp, logger);
  const onAnswered: HandlerParts["onAnswered"] = (incoming, status, call, ms) => {
    metrics.http(incoming.method ?? "", status);
    logCall(logger, incoming, status, call, ms);
    tracing?.record(incoming, status, call, ms);
    if (call.served === undefined) return;
    const { name, version, statistics } = call.served;
    metrics.inference(name, version, status, ms);
    statistics.request(status < 400, ms);
  };
  const dispose = async () => {
    batcher.close();
    await Promise.all([pool.dispose(), tracing?.close()]);
  };
  const batching = { maxBatch, maxDelayMs, workers };
  return { metrics, pool, budget, batcher, repository, limits, batching, onAnswered, dispose };
}

function workerSettings({ device, strict, dtype, threads, maxBatch, limits }: Settings): WorkerSettings {
  const { rows, jsonDepth, pixels } = limits;
  return { device, strict, dtype, threads, maxBatch, limits: { rows, jsonDepth, pixels } };
}

function modelInfo({ name, version, opened, bundle }: ServedVersion): ModelInfo {
  const { clusters, input } = bundle.manifest;
  return { name, version, device: opened.device, clusters, input };
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}
