// An encoder-decoder's lane: every stream has a memory of its own question, so each goes on in a step of its own.
import type { Model } from "../models/model.ts";
import { withReadyMagnitudes } from "../lora/dora.ts";
import type { Streams } from "./decode.ts";
import type { Lane, LaneSettings } from "./streams_lane.ts";
import type { Stream } from "./streams_stream.ts";
import { openT5Streams } from "./t5.ts";

/** T5's lane. */
export async function openT5Lane(given: Model, onRead: LaneSettings["onRead"]): Promise<Lane> {
  const { model, free } = await withReadyMagnitudes(given), { device } = model;
  const joining: Stream[] = [], running = new Map<Stream, Streams>();
  const leave = (stream: Stream) => {
    running.get(stream)?.free();
    running.delete(stream);
  };
  const step = async (stream: Stream) => {
    const known = running.get(stream), { prompt, settings: { maxNewTokens }, answer } = stream;
    const streams = known ?? await openT5Streams(model, [prompt], maxNewTokens, 1);
    running.set(stream, streams);
    if (!known) onRead(prompt.length);
    const ids = device.upload(Int32Array.of(answer.at(-1) ?? 0), [1], "i32");
    const logits = await (known ? streams.next(ids, answer.length - 1) : streams.start());
    const [scores] = await device.read(logits) as Float32Array[];
    stream.take(scores);
    device.free(ids, logits);
  };
  return {
    get size() {
      return joining.length + running.size;
    },
    join: (streams) => void joining.push(...streams),
    async step() {
      const next = joining.shift(); // one question between two tokens of the others
      for (const stream of [...running.keys(), ...next ? [next] : []]) {
        if (!stream.over) await step(stream);
        if (stream.over) leave(stream);
      }
    },
    free() {
      for (const stream of [...running.keys()]) leave(stream);
      free();
    },
  };
}
