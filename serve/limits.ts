/** What a server takes before it refuses. Times are in milliseconds. */
export interface Limits {
  /** Bytes of a request's body. */
  readonly bodyBytes: number;
  /** Samples of a request. */
  readonly rows: number;
  /** How deep JSON may nest. */
  readonly jsonDepth: number;
  /** Pixels of an image file, looked at before it is decoded. */
  readonly pixels: number;
  /** Requests that wait for a worker. */
  readonly queueRequests: number;
  /** Bytes of all requests that are read, wait or run, and of answers until they are sent. */
  readonly queueBytes: number;
  /** How long a request may wait for a worker. */
  readonly queueMs: number;
  /** How long a worker may take for a batch before it is replaced. */
  readonly runMs: number;
  /** How long a client may take for its headers, and for its whole request. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** Connections at once; more are closed. */
  readonly sockets: number;
}

export const LIMITS: Limits = {
  bodyBytes: 2 ** 26,
  rows: 4096,
  jsonDepth: 16,
  pixels: 2 ** 24,
  queueRequests: 1024,
  queueBytes: 2 ** 28,
  queueMs: 5_000,
  runMs: 30_000,
  headersMs: 10_000,
  requestMs: 60_000,
  sockets: 1024,
};
