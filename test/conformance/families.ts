/** The families of tfjs's test files, by the file's path; the first that matches. Those that match none test tfjs's core. */
const FAMILIES: readonly (readonly [name: string, files: RegExp])[] = [
  ["strings", /^ops\/string\//],
  ["sparse and ragged", /^ops\/(sparse\/|sparse_to|ragged_)/],
  ["random", /^ops\/(rand|multinomial|truncated_normal|dropout)/],
  ["images", /^ops\/(image\/|draw|from_pixels|to_pixels)/],
  ["signals", /^ops\/(signal\/|spectral\/|i?fft|complex_ops)/],
  ["losses", /^ops\/losses\//],
  ["optimizers", /^optimizers\//],
  ["recurrent cells", /^ops\/(basic_lstm|multi_rnn)/],
  ["convolution", /^ops\/(conv[123]d|conv_util|depthwise|dilation2d|fused\/fused_(conv|depth))/],
  ["pooling", /^ops\/(avg_pool|max_pool|pool|identity_pool)/],
  ["normalisation", /^ops\/(batchnorm|local_response|moments|moving_average|norm_|norm$)/],
  ["linear algebra", /^ops\/(linalg\/|mat_mul|fused\/fused_mat|einsum|diag$|eye$)/],
  ["activations", /^ops\/(elu|selu|relu|relu6|leaky_relu|sigmoid|log_sigmoid|softmax|log_softmax|softplus|tanh|step)$/],
  ["comparison and logic", /^ops\/(equal|not_equal|greater|less|logical_|is_|where$|bitwise|boolean_mask)/],
  [
    "reduction",
    /^ops\/(all|any|arg_max|arg_min|max|min|mean|sum|prod|cumsum|cumprod|log_sum_exp|euclidean_norm|bincount|dense_bincount|confusion_matrix)$/,
  ],
  [
    "gather, scatter, search",
    /^ops\/(gather|scatter|tensor_scatter|unsorted_segment|one_hot|topk|in_top_k|unique|setdiff1d|search_sorted|lower_bound|upper_bound|where_async)/,
  ],
  ["creation", /^ops\/(fill|range|linspace|ones|zeros|meshgrid)/],
  [
    "movement",
    /^ops\/(concat|slice|strided_slice|split|stack|unstack|tile|transpose|pad|mirror_pad|reverse|squeeze|expand_dims|ensure_shape|broadcast_|batch_to_space|space_to_batch|depth_to_space|clone)/,
  ],
  [
    "arithmetic",
    /^ops\/(abs|a?(cos|sin|tan)h?|add|add_n|sub|arithmetic|binary_ops|ceil|floor|floordiv|round|sign|clip_by_value|erf|exp|expm1|log|log1p|neg|reciprocal|rsqrt|sqrt|square)$/,
  ],
  ["core", /^(?!ops\/|optimizers\/)|^ops\/(axis_util|operation)$/],
];

/** Every family's name, in the order of its table. */
export const FAMILY_NAMES: readonly string[] = FAMILIES.map(([name]) => name).sort();

/** The family that a test file such as "ops/mat_mul" belongs to. */
export function family(file: string): string {
  const found = FAMILIES.find(([, files]) => files.test(file));
  if (found === undefined) throw new Error(`${file} belongs to no family of families.ts`);
  return found[0];
}
