import { clearCache, decodeImage, loadClusterer } from "../../../runtime/web.ts";

/** What tests call in the page. */
export const subspan = { loadClusterer, decodeImage, clearCache };
Object.assign(globalThis, { subspan });
