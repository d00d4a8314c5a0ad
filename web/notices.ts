import { SubspanError } from "../runtime/web.ts";
import { byId, make } from "./dom.ts";

/** Shows what went wrong, in the words it was thrown with, until it is dismissed. */
export function showError(error: unknown, during: string): void {
  const code = error instanceof SubspanError ? error.code : undefined;
  const message = error instanceof Error ? error.message : String(error);
  const notice = make("div", { className: "notice" });
  const dismiss = make("button", { type: "button", className: "quiet", textContent: "Dismiss" });
  dismiss.addEventListener("click", () => notice.remove());
  const text = make("p", {}, make("strong", { textContent: `${during}: ` }), message);
  if (code !== undefined) text.append(" ", make("code", { textContent: code }));
  notice.append(text, dismiss);
  const list = byId("errors", HTMLElement);
  while (list.childElementCount >= 3) list.firstElementChild?.remove();
  list.append(notice);
}

export function clearErrors(): void {
  byId("errors", HTMLElement).replaceChildren();
}

/** Runs what a person asked for; what it throws is shown. */
export async function attempt(during: string, task: () => unknown): Promise<void> {
  try {
    await task();
  } catch (error) {
    // Who stopped it knows.
    if (!(error instanceof SubspanError && error.code === "INTERRUPTED")) showError(error, during);
  }
}

export function watchForFaults(): void {
  addEventListener("error", (event) => showError(event.error ?? event.message, "The page failed"));
  addEventListener("unhandledrejection", (event) => showError(event.reason, "The page failed"));
}
