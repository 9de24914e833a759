// Answers under a constraint: through the streams, whose logits come back to where the masks are.
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import type { PickAttributes } from "../engine/ops/pick_token.ts";
import type { ConstraintSource } from "./constraint.ts";
import { openStreams, type TokenStreams } from "./streams.ts";
import type { StreamToken } from "./streams_stream.ts";

export interface ConstrainedSettings {
  readonly constraint: ConstraintSource;
  readonly maxNewTokens: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly streamIds?: readonly number[];
  readonly eosTokenIds: readonly number[];
  readonly pick: PickAttributes;
  readonly signal?: AbortSignal;
}

/** The tokens of each prompt's answer as they come, for as many prompts at the same time as `batchSize` says. */
export async function answerConstrained(
  model: Model,
  prompts: readonly number[][],
  settings: ConstrainedSettings,
  take: (prompt: number, token: number) => void,
): Promise<void> {
  const { streams, answers } = submitted(model, prompts, settings);
  try {
    await Promise.all(
      answers().map(async (tokens, i) => {
        for await (const { token } of tokens) take(i, token);
      }),
    );
  } finally {
    await streams.close();
  }
}

/** The tokens of one answer; leaving the loop ends it. */
export async function* streamConstrained(
  model: Model,
  prompt: number[],
  settings: ConstrainedSettings,
): AsyncGenerator<number, void, void> {
  const { streams, answers } = submitted(model, [prompt], settings);
  try {
    for await (const { token } of answers()[0]) yield token;
  } finally {
    await streams.close();
  }
}

/** Streams of their own for the prompts, and how these are handed to them. */
function submitted(
  model: Model,
  prompts: readonly number[][],
  settings: ConstrainedSettings,
): { streams: TokenStreams; answers(): AsyncGenerator<StreamToken, void, void>[] } {
  const { constraint, maxNewTokens, batchSize, seed, eosTokenIds, pick, signal } = settings;
  if (pick.noRepeatNgramSize > 0) {
    throw new UserError("noRepeatNgramSize cannot be held together with a constraint: set it to 0.");
  }
  const most = model.config.maxPositionEmbeddings, longest = Math.max(...prompts.map(({ length }) => length));
  const positions = model.config.encoderDecoder ? Math.max(longest, maxNewTokens) : longest + maxNewTokens;
  const streams = openStreams(model, {
    maxStreams: Math.min(batchSize, prompts.length),
    maxLength: Math.max(2, Math.min(most, positions)),
  });
  const request = { ...pick, constraint, maxNewTokens, seed, eosTokenIds, signal };
  const answers = () =>
    prompts.map((prompt, i) =>
      streams.submit(prompt, { ...request, streamId: settings.streamIds?.[i] ?? i })
    );
  return { streams, answers };
}
