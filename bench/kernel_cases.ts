// What bench/kernels.ts measures, on either side: products with a weight [out, width] and attention, with their cost.

export type Weights = "f32" | "f16" | "nf4";

export type KernelCase =
  | {
    /** forward: x [rows, width] times the weight transposed; inputGradient: dy [rows, out] times the weight. */
    readonly kind: "forward" | "inputGradient";
    readonly weights: Weights;
    readonly rows: number;
    readonly width: number;
    readonly out: number;
    /** Weights that take turns, so that one row's product reads memory and not the cache. */
    readonly copies: number;
  }
  | {
    readonly kind: "attention" | "attentionBackward";
    readonly tokens: number;
    readonly heads: number;
    readonly kvHeads: number;
    readonly headDim: number;
  };

export interface Shapes {
  /** Rows of the products of training. */
  readonly rows: readonly number[];
  readonly width: number;
  readonly out: number;
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
}

/** SmolLM2-135M's feed-forward layer and attention: enough for an adapter that only emulates a GPU. */
export const small: Shapes = { rows: [512], width: 576, out: 1536, tokens: 512, heads: 9, kvHeads: 3 };
/** TinyLlama's. */
export const large: Shapes = {
  rows: [512, 2048, 4096],
  width: 2048,
  out: 5632,
  tokens: 2048,
  heads: 32,
  kvHeads: 4,
};

/** Bytes that weights which take turns fill together: more than caches hold. */
const beyondCaches = 128e6;
const bytesPerWeight = { f32: 4, f16: 2, nf4: 0.5 + 4 / 64 };

export function casesOf({ rows, width, out, tokens, heads, kvHeads }: Shapes): KernelCase[] {
  const weights: Weights[] = ["f32", "f16", "nf4"];
  const products = rows.flatMap((rows) =>
    weights.flatMap((weights) =>
      (["forward", "inputGradient"] as const).map((kind) => ({ kind, weights, rows, width, out, copies: 1 }))
    )
  );
  const oneRow = weights.map((weights) => ({
    kind: "forward" as const,
    weights,
    rows: 1,
    width,
    out,
    copies: Math.ceil(beyondCaches / (bytesPerWeight[weights] * width * out)),
  }));
  const attention = (["attention", "attentionBackward"] as const)
    .map((kind) => ({ kind, tokens, heads, kvHeads, headDim: 64 }));
  return [...products, ...oneRow, ...attention];
}

/** Operations that the case needs; attention over the causal half, its gradient with the scores computed again. */
export function operationsOf(task: KernelCase): number {
  if ("rows" in task) return 2 * task.rows * task.width * task.out;
  const product = task.tokens ** 2 * task.headDim * task.heads; // 2 operations, half of the pairs
  return (task.kind === "attention" ? 2 : 5) * product;
}

/** Bytes of the weight, which a product with one row has to read. */
export function weightBytesOf(task: KernelCase): number {
  return "rows" in task ? bytesPerWeight[task.weights] * task.width * task.out : 0;
}

export function nameOf(task: KernelCase): string {
  if ("rows" in task) return `${task.weights} ${task.kind}, ${task.rows} x ${task.width} x ${task.out}`;
  return `${task.kind}, ${task.tokens} tokens, ${task.heads} heads of ${task.headDim}, ${task.kvHeads} of keys`;
}

/**
 * Milliseconds of one more piece of work: what a run costs once (submission, transfers, waiting) falls out of the
 * difference between one piece and several.
 */
export async function slope(run: (count: number) => Promise<void>, milliseconds = 100): Promise<number> {
  const fastest = async (count: number) => {
    await run(count); // the first use compiles
    let best = Infinity;
    for (let i = 0; i < 3; i++) {
      const began = performance.now();
      await run(count);
      best = Math.min(best, performance.now() - began);
    }
    return best;
  };
  const one = await fastest(1), two = await fastest(2);
  if (two - one > milliseconds) return two - one;
  const more = Math.min(256, Math.ceil(milliseconds / Math.max(two - one, 0.1)));
  return (await fastest(1 + more) - one) / more;
}
