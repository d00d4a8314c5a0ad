/** The lowering table: one rule a kernel, under tfjs's own kernel name; a kernel written twice does not compile. */
export * from "./convolution.ts";
export * from "./convolution3d.ts";
export * from "./creation.ts";
export * from "./depthwise.ts";
export * from "./dilation.ts";
export * from "./elementwise.ts";
export * from "./image.ts";
export * from "./indexing.ts";
export * from "./linalg.ts";
export * from "./movement.ts";
export * from "./pooling.ts";
export * from "./reduction.ts";
export * from "./sampling.ts";
export * from "./scatter.ts";
export * from "./space.ts";
