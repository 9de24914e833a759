// Serves a model and, if there is one, its adapter: a page to chat on, and OpenAI's interface at /v1.
//
//   deno run -P=serve examples/serve.ts                                         the embedded small Llama, as it is
//   ... --adapter out/tinyllama_finance_alpaca/adapter                          and as the first recipe has tuned it, side by side
//   ... --model <folder> --adapter <folder> --port 9000                         any model; names on the Hub with -P=hub
//
// Then open the address that it prints. Ctrl-C answers what has been asked and ends. For this machine alone: serve() itself
// also listens elsewhere, with an apiKey.

// %% Settings
import { basename, dirname, fromFileUrl } from "@std/path";
import { alpaca, decodeIn, financeQA, loadAdapter, loadModel, serve, showUserErrors } from "@fintune/fintune";
import { choice, readFlags, text, whole } from "./flags.ts";
import { financeQuestions } from "./tiny/questions.ts";

showUserErrors();
const flags = readFlags("A model as a page to chat on: serve.ts [flags]", {
  "model": text("Folder of a model, or its name on the Hub; default: the embedded small Llama"),
  "adapter": text("Folder of an adapter for it, or its name on the Hub"),
  "quantize": choice("Quantise the model while loading", ["none", "nf4"], "none"),
  "bits": choice(
    "Bits of the weights that answers are decoded from: fewer are faster",
    ["auto", "8", "4"],
    "auto",
  ),
  "prompt": choice(
    "How questions become text: the model's chat template, or as a recipe asks, each question alone",
    ["auto", "chat", "financeQA", "alpaca"],
    "auto",
  ),
  "port": whole("Port; 0: any that is free", 8000, 0),
});

// %% The model, and what the page shows
const embedded = flags.model === undefined;
const folder = flags.model ?? fromFileUrl(new URL("./tiny/model", import.meta.url));
const loaded = await loadModel(folder, flags.quantize === "nf4" ? { quantize: "nf4" } : {});
const base = flags.bits === "auto" ? loaded : decodeIn(loaded, { bits: flags.bits === "4" ? 4 : 8 });
const name = embedded ? "small-llama" : basename(folder);
/** Recipes write their adapter into a folder of that name, inside one that tells more. */
const adapterName = (path: string) => basename(basename(path) === "adapter" ? dirname(path) : path);
const models = { [name]: base };
if (flags.adapter !== undefined) {
  models[`${name}-tuned`] = await loadAdapter(base, flags.adapter, { name: adapterName(flags.adapter) });
}
/** The embedded model knows single questions only, and is best where nothing is drawn. */
const page = embedded
  ? {
    title: "Finance questions",
    notice: "A model of 1.9 million parameters: a demonstration.",
    defaults: { temperature: 0, max_tokens: 80 },
    examples: financeQuestions({ train: 2700, test: 90, seed: 42 }).test
      .filter(({ input }) => input === "").slice(0, 6).map(({ instruction }) => instruction),
  }
  : {};
const prompts = { auto: embedded ? financeQA : undefined, chat: undefined, financeQA, alpaca };

// %% The server, until Ctrl-C
const server = await serve(models, { port: flags.port, prompt: prompts[flags.prompt], page });
const stop = () => {
  Deno.removeSignalListener("SIGINT", stop); // a second one leaves at once
  console.log("Answering what has been asked; once more leaves at once.");
  server.stop();
};
Deno.addSignalListener("SIGINT", stop);
await server.finished;
Deno.exit(0); // onnxruntime's threads would keep the program
