/**
 * The process that fires requests: `node cannon.js SHOT`, a `Shot` in JSON; prints a `Hit` in JSON. Latencies are kept as they are,
 * autocannon's own histogram has whole milliseconds.
 */
import { createRequire } from "node:module";

export interface Shot {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  /** In base64. */
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second on all connections together; as many as there can be unless said. */
  readonly rate?: number;
}

export interface Hit {
  /** Requests a second that were answered 2xx. */
  readonly rate: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Answers that were not 2xx, and requests that had none. */
  readonly failed: number;
}

interface Instance extends PromiseLike<{ readonly duration: number; readonly errors: number }> {
  on(event: "response", listener: (client: unknown, status: number, bytes: number, milliseconds: number) => void): void;
}
type Autocannon = (options: object) => Instance;

const { body, seconds, rate, ...shot } = JSON.parse(process.argv[2] as string) as Shot;
const autocannon = createRequire(import.meta.url)("autocannon") as Autocannon;
const limited = rate === undefined ? {} : { overallRate: rate };
const bytes = shot.method === "POST" ? { body: Buffer.from(body, "base64") } : {};
const firing = autocannon({ ...shot, ...bytes, ...limited, duration: seconds });
const times: number[] = [];
let failed = 0;
firing.on("response", (_, status, __, milliseconds) => {
  if (status >= 200 && status < 300) times.push(milliseconds);
  else failed++;
});
const { duration, errors } = await firing;
times.sort((a, b) => a - b);
const quantile = (q: number) => times[Math.max(0, Math.ceil(q * times.length) - 1)] ?? Number.NaN;
const hit: Hit = { rate: times.length / duration, p50: quantile(0.5), p99: quantile(0.99), failed: failed + errors };
console.log(JSON.stringify(hit));
