// What a model's configuration holds.

/**
 * The families: decoders that share one forward pass (their differences are fields of {@linkcode ModelConfig}), and T5,
 * whose {@linkcode ModelConfig.encoderDecoder} is set.
 */
export type ModelType = "llama" | "mistral" | "qwen2" | "qwen3" | "gemma" | "t5";

/** What T5 has beside the fields that it shares with the decoders; of those it uses no rotary positions and no window. */
export interface EncoderDecoderConfig {
  /** Blocks of the decoder; numHiddenLayers are the encoder's. */
  numDecoderLayers: number;
  /** Rows of the table of relative positions. */
  relativeAttentionNumBuckets: number;
  /** From this distance on, all share a row. */
  relativeAttentionMaxDistance: number;
  /** The feed-forward layer is wo(act(wi_0 x) * wi_1 x) (v1.1, FLAN), not wo(act(wi x)) (v1.0). */
  gated: boolean;
  /** The decoder's output is multiplied by this before the head: hiddenSize^-0.5 in v1.0, else 1. */
  headScale: number;
  /** The token that the decoder begins with. */
  decoderStartTokenId: number;
}

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

/** A model's sizes and variants. Names are those of config.json in camelCase. */
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
  /** The gate's activation; gelu_tanh is Hugging Face's gelu_pytorch_tanh and gelu_new. relu: T5 v1.0. */
  hiddenAct: "silu" | "gelu_tanh" | "relu";
  /** Every head of queries and keys is normalised, before it is rotated (Qwen3). */
  qkNorm: boolean;
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
  /** Set where an encoder reads the prompt and a decoder writes the answer (T5). */
  encoderDecoder?: EncoderDecoderConfig;
  /** The dtype that the weights were saved in, as config.json says it ("float32", "bfloat16", ...). */
  dtype?: string;
}
