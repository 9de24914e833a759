// The script that permissions_test.ts runs with more and with fewer permissions: load, train, answer, save.
//   small_run.ts MODEL OUT adapter|model
import {
  adamW,
  attachLoRA,
  batchOf,
  generate,
  loadModel,
  saveAdapter,
  saveModel,
  showUserErrors,
  trainEpoch,
  useAdapter,
} from "../mod.ts";

showUserErrors();
const [folder, out, what] = Deno.args;
const model = attachLoRA(await loadModel(folder), { r: 2, seed: 1, quiet: true });
const batches = [batchOf([{ inputIds: [1, 5, 6, 2] }]), batchOf([{ inputIds: [1, 7, 9, 8, 2] }])];
const { loss } = await trainEpoch(model, batches, {
  optimizer: adamW(model, { learningRate: 1e-2 }),
  quiet: true,
});
const answer = await generate(model, [1, 15, 72], { maxNewTokens: 4, eosTokenIds: [] });
if (what === "model") await saveModel(useAdapter(model, undefined), out);
else await saveAdapter(model, out);
console.log(JSON.stringify({ backend: model.device.backend, loss, answer }));
