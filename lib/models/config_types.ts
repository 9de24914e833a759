// What a decoder model's configuration holds.

/** The families of decoders that share one forward pass; their differences are fields of {@linkcode ModelConfig}. */
export type ModelType = "llama" | "mistral" | "qwen2" | "gemma";

/** How rotary frequencies are stretched for longer texts; fields as in Hugging Face's rope_scaling. */
export type RopeScaling =
  | {
    /** All frequencies are divided by the factor. */
    ropeType: "linear";
    /** How much longer texts may become. */
    factor: number;
  }
  | {
    /** Low frequencies are divided by the factor, high ones stay, between them it fades. */
    ropeType: "llama3";
    /** How much longer texts may become. */
    factor: number;
    /** Wavelengths above originalMaxPositionEmbeddings / lowFreqFactor are stretched in full. */
    lowFreqFactor: number;
    /** Wavelengths below originalMaxPositionEmbeddings / highFreqFactor are left alone. */
    highFreqFactor: number;
    /** Length of the texts before stretching. */
    originalMaxPositionEmbeddings: number;
  };

/** A decoder's sizes and variants. Names are those of config.json in camelCase. */
export interface ModelConfig {
  /** The family. */
  modelType: ModelType;
  /** Rows of the embedding. */
  vocabSize: number;
  /** Width of the residual stream. */
  hiddenSize: number;
  /** Width of the feed-forward layer. */
  intermediateSize: number;
  /** Blocks. */
  numHiddenLayers: number;
  /** Heads of queries. */
  numAttentionHeads: number;
  /** Heads of keys and values: divides numAttentionHeads. */
  numKeyValueHeads: number;
  /** Width of a head; not always hiddenSize / numAttentionHeads. */
  headDim: number;
  /** The gate's activation; gelu_tanh is Hugging Face's gelu_pytorch_tanh. */
  hiddenAct: "silu" | "gelu_tanh";
  /** Added to the mean square in every norm. */
  rmsNormEps: number;
  /** Base of the rotary frequencies. */
  ropeTheta: number;
  /** How the rotary frequencies are stretched; null: not. */
  ropeScaling: RopeScaling | null;
  /** Longest text that the model was made for, in tokens. */
  maxPositionEmbeddings: number;
  /** Positions that a query sees, itself included; null for all before it. */
  slidingWindow: number | null;
  /** The output layer is the embedding (files: the presence of lm_head.weight decides). */
  tieWordEmbeddings: boolean;
  /** q, k and v have a bias. */
  attentionBias: boolean;
  /** The attention's output projection has a bias. */
  attentionOutputBias: boolean;
  /** The feed-forward layers have a bias. */
  mlpBias: boolean;
  /** Added to the weight of every norm: 1 in Gemma, else 0. */
  normOffset: number;
  /** The embedding is multiplied by this: sqrt(hiddenSize) in Gemma, else 1. */
  embeddingScale: number;
  /** Standard deviation of fresh weights. */
  initializerRange: number;
  /** The token that begins a text. */
  bosTokenId?: number;
  /** Every token that ends a text; empty when config.json names none. */
  eosTokenIds: number[];
  /** The token that fills up short texts. */
  padTokenId?: number;
  /** The dtype that the weights were saved in, as config.json says it ("float32", "bfloat16", ...). */
  dtype?: string;
}
