// What became of one input.

/** One line of a child's output. */
export interface Result {
  reader: string;
  /** Makes the input again, with the seed. */
  number: number;
  /** Past the outer parse. */
  passed: boolean;
  /** Read in full, refused with a UserError, or anything else. */
  outcome: "loaded" | "refused" | "failure";
  /** Milliseconds. */
  ms: number;
  /** Bytes that reading it took at most. */
  memory: number;
  /** What is wrong, for a failure. */
  problem?: string;
}
