import { type Device, SubspanError } from "../../runtime/node.ts";
import {
  jsonLogger,
  LIMITS,
  type ModelInfo,
  type RunningServer,
  readTokens,
  type ServeOptions,
  serve as start,
  textLogger,
} from "../../serve/index.ts";
import { DTYPES } from "../assigning.ts";
import type { Command, CommandContext } from "../command.ts";
import type { Options } from "../options.ts";
import { pairs } from "../text.ts";

const DEVICES: readonly (Device | "auto")[] = ["cpu", "cuda", "webgpu", "auto"];
const PORT = 8000;
const WATCH_MS = 1_000;
/** Long enough for clients with open connections to hear that the server closes, in milliseconds. */
const LINGER_MS = 500;
const GRACE_MS = 30_000;

export const serve: Command = {
  usage: "serve <bundles...>",
  description: "Serve bundles over HTTP: the Open Inference Protocol, and a page for the browser",
  options: [
    ["--host <address>", "Where to listen; 127.0.0.1, this machine alone, unless said"],
    ["--port <n>", `${PORT} unless said, 0 for any free one`],
    ["--workers <n>", "Threads that run models; as many as there are cores unless said"],
    ["--threads <n>", "Threads of one run; unless said, the workers share the cores"],
    ["--device <name>", `${DEVICES.join(", ")}; cpu unless said`],
    ["--dtype <name>", `${DTYPES.join(", ")}: which of a bundle's graphs; fp32 unless said`],
    ["--max-batch <n>", "Samples of a run: requests that wait are joined up to this; 64 unless said"],
    ["--max-delay <ms>", "How long a request waits for others to join it; 0 unless said"],
    ["--max-rows <n>", `Samples of a request; ${LIMITS.rows} unless said`],
    ["--max-body <bytes>", `Bytes of a request; ${LIMITS.bodyBytes} unless said`],
    ["--max-queue <n>", `Requests that may wait; ${LIMITS.queueRequests} unless said`],
    ["--token-file <file>", 'Lines of "inference TOKEN" and "admin TOKEN"; SUBSPAN_INFERENCE_TOKENS too'],
    ["--cors <origin>", "A page that may ask from elsewhere, such as https://example.org; may come again"],
    ["--watch", "Load bundles again when their files change"],
    ["--drain <time>", "How long requests under way may take after SIGTERM; 30s unless said"],
    ["--json", "The log as JSON, a line a request"],
  ],
  examples: [
    "serve bundles/digits",
    "serve bundles/* --port 8080 --watch",
    "serve models/ --host 0.0.0.0 --token-file tokens.txt --json",
  ],
  run,
};

async function run({ args, options, io, signal }: CommandContext): Promise<void> {
  const json = options.has("json");
  const logger = json
    ? jsonLogger("info", { write: (line) => void io.stdout.write(line) })
    : textLogger("warn", (line) => void io.stderr.write(line));
  const tokens = await readTokens(options.text("token-file"), process.env);
  const server = await start({ ...serveOptions(args, options), tokens, logger, signal }).catch((error: unknown) => {
    if (!(error instanceof SubspanError && error.code === "INTERRUPTED")) throw error; // else it did what it was told
  });
  if (server === undefined) return;
  if (json)
    logger.info(
      { url: server.url, models: server.models.map(({ name, version }) => ({ name, version })) },
      "listening",
    );
  else io.stdout.write(startText(server));
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  logger.info("closing");
  await server.close();
  if (json) logger.info("closed");
}

function serveOptions(bundles: readonly string[], options: Options): ServeOptions {
  return {
    bundles,
    port: options.integer("port", 0) ?? PORT,
    lingerMs: LINGER_MS,
    graceMs: options.duration("drain") ?? GRACE_MS,
    watchMs: options.has("watch") ? WATCH_MS : 0,
    cors: options.list("cors"),
    ...given("otlp", process.env.OTEL_EXPORTER_OTLP_ENDPOINT),
    ...given("host", options.text("host")),
    ...given("workers", options.integer("workers", 1)),
    ...given("threads", options.integer("threads", 1)),
    ...given("device", options.choice("device", DEVICES)),
    ...given("dtype", options.choice("dtype", DTYPES)),
    ...given("maxBatch", options.integer("max-batch", 1)),
    ...given("maxDelayMs", options.integer("max-delay", 0)),
    limits: {
      ...given("rows", options.integer("max-rows", 1)),
      ...given("bodyBytes", options.integer("max-body", 1)),
      ...given("queueRequests", options.integer("max-queue", 1)),
    },
  };
}

/** A field for an option that was typed, nothing for one that was not. */
function given<K extends string, T>(name: K, value: T | undefined): { readonly [P in K]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [P in K]: T });
}

/** Where the server is, what it serves, and a first call to copy. */
function startText({ url, models, workers }: RunningServer): string {
  const rows = models.map(
    ({ name, version, clusters, device }) =>
      [name, `version ${version}`, `${clusters} clusters`, `on ${device}`] as const,
  );
  const [first] = models;
  return `${pairs(rows)}
${pairs([
  [url, `with ${workers === 1 ? "one worker" : `${workers} workers`}; Ctrl-C ends it`],
  [`${url}/docs`, "how to ask it"],
])}
Try:
  ${first === undefined ? `curl ${url}/v2` : example(url, first)}
`;
}

function example(url: string, { name, input }: ModelInfo): string {
  const assign = `${url}/v2/models/${name}/assign`;
  if (input.kind === "images") return `curl -F image=@picture.png ${assign}`;
  const row = Array.from({ length: Math.min(Number(input.shape[1]), 4) }, () => 0);
  const more = Number(input.shape[1]) > row.length ? ", ..." : "";
  return `curl -H 'content-type: application/json' -d '{"rows": [[${row.join(", ")}${more}]]}' ${assign}`;
}
