// Perplexity from a loss.

/**
 * Perplexity of a mean cross-entropy loss: exp(loss), how many equally likely tokens the model wavers between.
 *
 * @param meanLoss nats a token, averaged over all trained tokens (not over batches), as `evaluateLoss` gives it
 * @returns 1 for a loss of 0; Infinity for losses above 709.78, NaN for NaN
 *
 * @example
 * ```ts
 * import { perplexity } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * assert.equal(perplexity(0), 1);
 * assert.equal(perplexity(Math.log(32000)).toFixed(3), "32000.000"); // no idea at all, with 32,000 tokens
 * ```
 */
export function perplexity(meanLoss: number): number {
  return Math.exp(meanLoss);
}
