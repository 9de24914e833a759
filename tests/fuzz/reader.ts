// What the fuzzer knows of one reader: how its inputs are made, what counts as past the outer parse, and how they are read.

/** The files of one input, by their names inside a folder. */
export type Files = Map<string, Uint8Array<ArrayBuffer>>;

/** One reader under test. */
export interface Reader {
  /** As --reader= names it. */
  name: string;
  /** What "passed the outer parse" means here, in words. */
  outer: string;
  /** The valid files: they load, which is checked before anything is mutated. */
  seeds(): Promise<Files[]> | Files[];
  /** Changes some of a seed's files in place (the bytes are to be replaced, not written to). */
  mutate(files: Files, random: () => number): Promise<void> | void;
  /** Whether the input gets past the outer parse, decided without the library. */
  passesOuter(files: Files): boolean;
  /** Reads the folder through the library's public functions, all of it. */
  read(folder: string): Promise<unknown>;
  /** Compressed formats: the bytes that may be held beyond twice the file; default 16 MB for the engine itself. */
  allowance?: number;
}

export const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
export const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Whether the bytes are a JSON object. */
export function isJsonObject(bytes: Uint8Array | undefined): boolean {
  const value = parsed(bytes);
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The bytes as JSON; undefined where they are none. */
export function parsed(bytes: Uint8Array | undefined): unknown {
  try {
    return bytes && JSON.parse(decode(bytes));
  } catch {
    return undefined;
  }
}
