/**
 * Registers the gradient of every kernel. tfjs-core's Node bundle leaves them out and its ES modules do not load in Node;
 * tfjs-layers' bundle brings them and puts them into the registry that all of tfjs shares.
 */
import "@tensorflow/tfjs-layers";
