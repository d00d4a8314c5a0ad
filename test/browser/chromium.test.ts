import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LAUNCH_TIMEOUT, launchChromium } from "./chromium.ts";
import { type Site, serveSite } from "./site.ts";

let browser: Browser;
let site: Site;
let page: Page;
beforeAll(async () => {
  browser = await launchChromium({ webgpu: true });
  site = await serveSite(undefined, { isolated: true, files: { "/index.html": "<title>here</title>" } });
  page = await browser.newPage();
  await page.goto(site.url);
}, LAUNCH_TIMEOUT);
afterAll(async () => {
  await browser?.close();
  await site?.close();
});

test("the Chromium of the tests has WebGPU and, on an isolated page, threads", async () => {
  const found = await page.evaluate(async () => {
    const { gpu } = navigator as unknown as { gpu: { requestAdapter(): Promise<{ info: { vendor: string } } | null> } };
    return { vendor: (await gpu.requestAdapter())?.info.vendor, isolated: crossOriginIsolated };
  });
  expect(found).toEqual({ vendor: "google", isolated: true });
});
