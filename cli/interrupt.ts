/**
 * Runs work that a person may stop: the first Ctrl-C (or SIGTERM) aborts the signal, which lets it save; of the second the
 * process dies at once, as it would without us. `process.exit` would stop its threads first, and what ONNX Runtime throws in a
 * thread that is being stopped aborts the process.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, say: (text: string) => void) {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      process.removeAllListeners(name);
      process.kill(process.pid, name);
    }
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
