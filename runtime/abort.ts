import { SubspanError } from "./errors.ts";

/** @throws {SubspanError} INTERRUPTED, its cause the signal's reason, if the signal has been given. */
export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw interrupted(signal);
}

/** Waits for a promise, or until the signal is given: what was begun then goes on unwatched. @throws as checkAborted. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  promise.catch(() => {}); // nobody may be left to hear it
  checkAborted(signal);
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(interrupted(signal));
    signal.addEventListener("abort", stop);
  });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener("abort", stop));
}

function interrupted({ reason }: AbortSignal): SubspanError {
  return new SubspanError("INTERRUPTED", `stopped: ${(reason as Error)?.message ?? reason}`, { cause: reason });
}
