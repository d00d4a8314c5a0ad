/** The least a page does. */
import { loadClusterer } from "../../../runtime/web.ts";

void loadClusterer("bundle");
