// Serves a model and, if there is one, its adapter: a page to chat on, and OpenAI's interface at /v1.
//
//   deno run -P=serve examples/serve.ts                                         the embedded small Llama, as it is
//   ... --adapter out/tinyllama_finance_alpaca/adapter                          and as the first recipe has tuned it, side by side
//   ... --model <folder> --adapter <folder> --port 9000                         any model; names on the Hub with -P=hub
//
// Then open the address that it prints. Ctrl-C (or SIGTERM) answers what has been asked and ends. For this machine alone: serve() itself
// also listens elsewhere, with an apiKey.

// %% Settings
import { serve, showUserErrors } from "@fintune/fintune";
import { loadChosen, modelFlags, prompts } from "./chosen.ts";
import { readFlags, whole } from "./flags.ts";
import { financeQuestions } from "./tiny/questions.ts";

showUserErrors();
const flags = readFlags("A model as a page to chat on: serve.ts [flags]", {
  ...modelFlags,
  "port": whole("Port; 0: any that is free", 8000, 0),
});

// %% The model, and what the page shows
const embedded = flags.model === undefined;
const { name, base, tuned } = await loadChosen(flags);
const models = { [name]: base, ...tuned && { [`${name}-tuned`]: tuned } };
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
const way = flags.prompt !== "auto" ? flags.prompt : embedded ? "financeQA" : "chat";
const prompt = way === "chat" ? undefined : prompts[way];

// %% The server, until Ctrl-C
const server = await serve(models, { port: flags.port, prompt, page, stopOnSignals: true });
await server.finished;
Deno.exit(0); // onnxruntime's threads would keep the program
