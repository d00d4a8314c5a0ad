import { byId } from "./dom.ts";

/** How long the page waits for its service worker: with it in charge, all that is fetched from then on is kept. */
const PATIENCE = 3000;

/** Registers the service worker and waits till it is in charge, for what can be had: no HTTPS, no worker. */
export async function startOffline(): Promise<void> {
  const note = byId("offline", HTMLElement);
  const say = (text: string) => {
    note.textContent = text;
  };
  const { serviceWorker } = navigator;
  if (serviceWorker === undefined) return say("Nothing you open or assign is uploaded.");
  try {
    const taken = new Promise<void>((done) =>
      serviceWorker.addEventListener("controllerchange", () => done(), { once: true }),
    );
    await serviceWorker.register("service-worker.js");
    const late = new Promise<"late">((done) => setTimeout(done, PATIENCE, "late"));
    const isLate = serviceWorker.controller === null && (await Promise.race([taken, late])) === "late";
    // What is fetched before the worker is in charge is not kept.
    const when = isLate ? "From the next visit on it is stored here" : "The page is stored here";
    say(`Nothing you open or assign is uploaded. ${when} and works without a network.`);
  } catch (error) {
    say(`Nothing you open or assign is uploaded. Not stored for use without a network: ${(error as Error).message}`);
  }
}

/** Forgets the manifests that service-worker.ts keeps, by its name for them. @returns whether there were any. */
export const forgetManifests = async (): Promise<boolean> =>
  (await globalThis.caches?.delete("subspan-manifests")) ?? false;
