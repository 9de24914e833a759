// llama.cpp's types of tokens, which are SentencePiece's.

/** By number, as files have them. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
