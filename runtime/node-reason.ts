import { reasonOf } from "./devices.ts";

/** What onnxruntime-node puts before a reason: a place in its sources, and the function there. */
const SOURCE_POSITION = /^\S+\.cc:\d+ (.*?(?=[A-Z][a-z]+ed to |CU\w+ failure)|\w+ )/;

/** The first line of what onnxruntime-node says. */
export function nodeReason(message: string): string {
  return reasonOf(message.replace(SOURCE_POSITION, ""));
}
