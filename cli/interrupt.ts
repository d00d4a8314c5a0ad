import { INTERRUPTED } from "./exit-codes.ts";

/**
 * Runs work that a person may stop: the first Ctrl-C (or SIGTERM) aborts the signal, which lets it save; the second ends the
 * process at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, say: (text: string) => void) {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
    say("stopping; once more stops at once");
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  try {
    return await work(controller.signal);
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}
