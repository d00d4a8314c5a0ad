import { defineConfig } from "vitest/config";

const report = process.env.SUBSPAN_TEST_REPORT;

// Files run in two processes, as many as the machines this is tested on have cores. `.ci/run` asks for a report to count.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    ...(report === undefined ? {} : { reporters: ["default", "json"], outputFile: { json: report } }),
  },
});
