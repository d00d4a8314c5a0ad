/**
 * Serving clusterers over HTTP: the Open Inference Protocol v2 with its binary tensors and its extensions for
 * repositories, configuration and statistics, `assign` for people, metrics, documentation and the browser page.
 */
export { readTokens, type Tokens } from "./http/access.ts";
export { LIMITS, type Limits } from "./limits.ts";
export { jsonLogger, type Logger, type LogLevel, textLogger } from "./log.ts";
export { HttpProblem, STATUS } from "./problem.ts";
export type { AssignResult } from "./protocol/assign.ts";
export type { Source } from "./repository/sources.ts";
export { type ModelInfo, type RunningServer, type ServeOptions, serve } from "./server.ts";
