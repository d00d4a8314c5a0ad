import type { Phase } from "../models/index.ts";

/** Linear warm-up, then the phase's rate, or a cosine down to 5 % of it. */
export function scheduledRate(
  { learningRate, warmup, schedule }: Pick<Phase, "learningRate" | "warmup" | "schedule">,
  step: number,
  steps: number,
): number {
  if (step < warmup) return (learningRate * (step + 1)) / warmup;
  if (schedule === "constant") return learningRate;
  const done = (step - warmup) / Math.max(1, steps - warmup);
  return learningRate * (0.05 + 0.95 * 0.5 * (1 + Math.cos(Math.PI * done)));
}
