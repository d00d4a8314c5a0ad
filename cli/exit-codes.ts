import type { ErrorCode } from "../runtime/errors.ts";

export const DONE = 0;
export const FAILED = 1;
export const WRONG_USE = 2;
/** As shells have it for SIGINT: 128 + 2. */
export const INTERRUPTED = 130;

/** The exit code of an error: what was asked for was wrong, somebody stopped it, or it failed. */
export function exitCode(code: ErrorCode): number {
  if (code === "USAGE") return WRONG_USE;
  return code === "INTERRUPTED" ? INTERRUPTED : FAILED;
}
