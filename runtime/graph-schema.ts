import {
  ATTRIBUTE,
  DIMENSION,
  GRAPH,
  MODEL,
  NODE,
  OPERATOR_SET,
  SHAPE,
  STRING_ENTRY,
  TENSOR,
  TENSOR_TYPE,
  TYPE,
  VALUE_INFO,
} from "./onnx-schema.ts";
import type { MessageSpec } from "./protobuf.ts";

/**
 * What the messages of an ONNX model may hold here: data and one flat graph, nothing that runs, nests or points
 * elsewhere.
 */
export const SPEC = {
  model: {
    name: "ModelProto",
    one: {
      [MODEL.irVersion]: "varint",
      [MODEL.producerName]: "bytes",
      [MODEL.producerVersion]: "bytes",
      [MODEL.domain]: "bytes",
      [MODEL.modelVersion]: "varint",
      [MODEL.docString]: "bytes",
      [MODEL.graph]: "bytes",
    },
    many: { [MODEL.opsetImport]: "bytes", [MODEL.metadataProps]: "bytes" },
    refused: {
      [MODEL.trainingInfo]: "training_info",
      [MODEL.functions]: "a function",
      [MODEL.configuration]: "a device configuration",
    },
  },
  operatorSet: {
    name: "OperatorSetIdProto",
    one: { [OPERATOR_SET.domain]: "bytes", [OPERATOR_SET.version]: "varint" },
    many: {},
  },
  stringEntry: {
    name: "StringStringEntryProto",
    one: { [STRING_ENTRY.key]: "bytes", [STRING_ENTRY.value]: "bytes" },
    many: {},
  },
  graph: {
    name: "GraphProto",
    one: { [GRAPH.name]: "bytes", [GRAPH.docString]: "bytes" },
    many: {
      [GRAPH.node]: "bytes",
      [GRAPH.initializer]: "bytes",
      [GRAPH.input]: "bytes",
      [GRAPH.output]: "bytes",
      [GRAPH.valueInfo]: "bytes",
      [GRAPH.metadataProps]: "bytes",
    },
    refused: {
      [GRAPH.quantization]: "a quantization annotation",
      [GRAPH.sparseInitializer]: "a sparse initializer",
    },
  },
  node: {
    name: "NodeProto",
    one: {
      [NODE.name]: "bytes",
      [NODE.opType]: "bytes",
      [NODE.docString]: "bytes",
      [NODE.domain]: "bytes",
    },
    many: {
      [NODE.input]: "bytes",
      [NODE.output]: "bytes",
      [NODE.attribute]: "bytes",
      [NODE.metadataProps]: "bytes",
    },
    refused: { [NODE.overload]: "an overload", [NODE.deviceConfigurations]: "a device configuration" },
  },
  attribute: {
    name: "AttributeProto",
    one: {
      [ATTRIBUTE.name]: "bytes",
      [ATTRIBUTE.f]: "fixed32",
      [ATTRIBUTE.i]: "varint",
      [ATTRIBUTE.s]: "bytes",
      [ATTRIBUTE.t]: "bytes",
      [ATTRIBUTE.docString]: "bytes",
      [ATTRIBUTE.type]: "varint",
    },
    many: { [ATTRIBUTE.floats]: "fixed32", [ATTRIBUTE.ints]: "varint", [ATTRIBUTE.strings]: "bytes" },
    refused: {
      [ATTRIBUTE.g]: "an attribute that holds a graph",
      [ATTRIBUTE.graphs]: "an attribute that holds graphs",
      [ATTRIBUTE.tensors]: "an attribute that holds several tensors",
      [ATTRIBUTE.sparseTensor]: "an attribute that holds a sparse tensor",
      [ATTRIBUTE.sparseTensors]: "an attribute that holds sparse tensors",
      [ATTRIBUTE.typeProto]: "an attribute that holds a type",
      [ATTRIBUTE.typeProtos]: "an attribute that holds types",
      [ATTRIBUTE.refAttrName]: "an attribute that refers to a function's",
    },
  },
  tensor: {
    name: "TensorProto",
    one: {
      [TENSOR.dataType]: "varint",
      [TENSOR.name]: "bytes",
      [TENSOR.rawData]: "bytes",
      [TENSOR.docString]: "bytes",
      [TENSOR.dataLocation]: "varint",
    },
    many: {
      [TENSOR.dims]: "varint",
      [TENSOR.floatData]: "fixed32",
      [TENSOR.int32Data]: "varint",
      [TENSOR.int64Data]: "varint",
      [TENSOR.doubleData]: "fixed64",
    },
    refused: {
      [TENSOR.segment]: "a tensor in segments",
      [TENSOR.stringData]: "a tensor of strings",
      [TENSOR.uint64Data]: "a tensor of uint64",
      [TENSOR.externalData]: "external data",
    },
  },
  valueInfo: {
    name: "ValueInfoProto",
    one: { [VALUE_INFO.name]: "bytes", [VALUE_INFO.type]: "bytes", [VALUE_INFO.docString]: "bytes" },
    many: { [VALUE_INFO.metadataProps]: "bytes" },
  },
  type: {
    name: "TypeProto",
    one: { [TYPE.tensorType]: "bytes", [TYPE.denotation]: "bytes" },
    many: {},
    refused: { 4: "a sequence", 5: "a map", 7: "an opaque type", 8: "a sparse tensor", 9: "an optional" },
  },
  tensorType: {
    name: "TypeProto.Tensor",
    one: { [TENSOR_TYPE.elemType]: "varint", [TENSOR_TYPE.shape]: "bytes" },
    many: {},
  },
  shape: { name: "TensorShapeProto", one: {}, many: { [SHAPE.dim]: "bytes" } },
  dimension: {
    name: "TensorShapeProto.Dimension",
    one: { [DIMENSION.value]: "varint", [DIMENSION.param]: "bytes", [DIMENSION.denotation]: "bytes" },
    many: {},
  },
} as const satisfies Record<string, MessageSpec>;

/**
 * The operators a graph may use: opset 17's mathematics on tensors. No control flow, sequences, strings or random
 * draws.
 */
export const ALLOWED_OPERATORS: ReadonlySet<string> = new Set(
  `Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift Cast CastLike Ceil
  Celu Clip Compress Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace
  DequantizeLinear Det Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather
  GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish
  Hardmax Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
  LpNormalization LpPool MatMul MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min Mod Mul Neg
  NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear Range Reciprocal
  ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
  Relu Reshape Resize ReverseSequence Round ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice
  Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu
  Unsqueeze Where Xor`.split(/\s+/),
);
