import { readFileSync } from "node:fs";

/** A closed terminal ends a process too, unless it was started to outlive it, by nohup: then it ignores that signal. */
const ENDINGS: readonly NodeJS.Signals[] = ignoresHangup() ? ["SIGINT", "SIGTERM"] : ["SIGINT", "SIGTERM", "SIGHUP"];

/** As Linux tells it; elsewhere a hangup is left as it is. */
function ignoresHangup(): boolean {
  try {
    const [, mask = "1"] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return (Number.parseInt(mask.slice(-1), 16) & 1) === 1;
  } catch {
    return true;
  }
}

/**
 * Runs work that a person may stop: the first Ctrl-C (or SIGTERM, or a closed terminal) aborts the signal, which lets it save; of the second the
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
    controller.abort(new Error(name));
    say("stopping; once more stops at once");
  };
  for (const name of ENDINGS) process.on(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of ENDINGS) process.off(name, stop);
  }
}
