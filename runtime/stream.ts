import { checkAborted } from "./abort.ts";
import type { Input, InputReader } from "./input.ts";
import type { Batch } from "./samples.ts";

/**
 * Runs a stream of inputs of any sizes, in order, in batches of exactly `size` samples and a last smaller one. While one
 * runs the next is read, no further.
 *
 * @param run - of a batch, whose first sample is the stream's `start`-th.
 */
export async function* inBatches<Encoded, Part>(
  source: AsyncIterable<Input<Encoded>> | Iterable<Input<Encoded>>,
  size: number,
  reader: InputReader<Encoded>,
  run: (batch: Batch, start: number) => Promise<Part>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Part, void, undefined> {
  let running: Promise<Part> | undefined;
  let start = 0;
  try {
    for await (const batch of rebatched(source, size, reader)) {
      checkAborted(signal);
      const before = running;
      running = run(batch, start);
      running.catch(() => {}); // it is awaited below, maybe after it failed
      start += batch.count;
      if (before !== undefined) yield await before;
    }
  } catch (error) {
    if (running !== undefined) yield await running;
    throw error;
  }
  if (running !== undefined) yield await running;
}

async function* rebatched<Encoded>(
  source: AsyncIterable<Input<Encoded>> | Iterable<Input<Encoded>>,
  size: number,
  reader: InputReader<Encoded>,
): AsyncGenerator<Batch, void, undefined> {
  let parts: Batch[] = [];
  let count = 0;
  for await (const input of source) {
    const batch = await reader.read(input);
    for (let start = 0; start < batch.count; ) {
      const part = reader.slice(batch, start, start + size - count);
      parts.push(reader.join([part]));
      count += part.count;
      start += part.count;
      if (count < size) continue;
      yield reader.join(parts);
      parts = [];
      count = 0;
    }
  }
  if (count > 0) yield reader.join(parts);
}
