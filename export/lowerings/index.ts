/** The lowering table: one rule a kernel, under tfjs's own kernel name; a kernel written twice does not compile. */
export * from "./convolution.ts";
export * from "./creation.ts";
export * from "./elementwise.ts";
export * from "./indexing.ts";
export * from "./linalg.ts";
export * from "./movement.ts";
export * from "./reduction.ts";
export * from "./scatter.ts";
export * from "./space.ts";
