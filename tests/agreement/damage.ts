// Small mistakes that files of models are known for. What has one must not agree: else agreement would prove nothing.
import type { Model } from "../../mod.ts";
import { permuteHeads } from "../../lib/gguf/names.ts";
import { weightValues } from "../../lib/quantize/model.ts";

/** The models with something wrong in them, by what it is. */
export async function damaged(model: Model): Promise<[damage: string, model: Model][]> {
  const rows: [string, Model] = ["one matrix's rows in llama.cpp's order", await inOtherOrder(model)];
  return model.config.encoderDecoder
    ? [rows]
    : [rows, ["a hundredth of the rope theta", withOtherTheta(model)]];
}

/** The rows of the decoder's first queries as llama.cpp wants them where they should be as Hugging Face has them, or the other way round. */
async function inOtherOrder(model: Model): Promise<Model> {
  const { device, config: { numAttentionHeads, headDim } } = model;
  const [name, weight] = [...model.weights].find(([name]) =>
    /(\bq_proj|^decoder.*SelfAttention\.q)\.weight$/.test(name)
  )!;
  if (weight.kind !== "dense") throw new Error(`${name} is not dense.`);
  const values = permuteHeads(await weightValues(device, weight), numAttentionHeads, headDim, "to");
  const tensor = device.upload(values, weight.tensor.shape, "f32");
  return { ...model, weights: new Map(model.weights).set(name, { kind: "dense", tensor }) };
}

/** As where a default stands for what the model says: 10,000 for Qwen's 1,000,000. */
const withOtherTheta = (model: Model): Model => ({
  ...model,
  config: { ...model.config, ropeTheta: model.config.ropeTheta / 100 },
});
