// What may come next: the interface between decoding and whatever restricts it (a grammar, a list of choices, code of yours).

/** Follows one answer and says which tokens may come next. */
export interface Constraint {
  /**
   * A bit for each token id that may come next (bit id % 32 of word id / 32; ids beyond the words may not), or undefined:
   * anything. Tokens that end an answer are allowed here like all others. Where no bit is set the answer ends.
   */
  mask(): Uint32Array | undefined;
  /** The token that was taken; one that ends the answer is told too. */
  accept(token: number): void;
  /** Nothing can follow: the answer ends without an EOS token. */
  readonly done: boolean;
}

/** A constraint that is compiled once, and started for every answer. */
export interface ConstraintSource {
  /**
   * A constraint at the beginning of an answer of at most `maxNewTokens`: near that limit only what can still be finished
   * may come.
   *
   * @throws UserError where no answer is so short
   */
  start(maxNewTokens?: number): Constraint;
}
