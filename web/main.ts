import { attempt, watchForFaults } from "./notices.ts";
import { startOffline } from "./offline.ts";
import { Page, siteBundle } from "./page.ts";
import { startTheme } from "./theme.ts";

watchForFaults();
const page = new Page();
startTheme(() => page.redraw());
await startOffline();

/** A bundle named in the address, or the one that a site was made for. */
const wanted = new URLSearchParams(location.search).get("bundle") ?? siteBundle();
if (wanted) await attempt("Opening the bundle", () => page.open(wanted));
