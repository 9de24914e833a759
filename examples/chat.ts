// A chat in the terminal with a model and, if there is one, its adapter.
//
//   deno run -P=train examples/chat.ts                                          the embedded small Llama, as it is
//   ... --adapter out/tinyllama_finance_alpaca/adapter                          and as the first recipe has tuned it
//   ... --model <folder> --adapter <folder>                                     any model; names on the Hub with -P=hub
//   echo "What is a bond?" | deno run -P=train examples/chat.ts                 answers and ends
//
// /help lists the commands. Ctrl-C stops an answer; a second one leaves.

// %% Settings
import {
  type GenerateOptions,
  type Message,
  type Model,
  showUserErrors,
  streamText,
  useAdapter,
  UserError,
} from "@fintune/fintune";
import { loadChosen, modelFlags, prompts } from "./chosen.ts";
import { nearest, readFlags, text } from "./flags.ts";
import { openLines } from "./terminal.ts";

showUserErrors();
const flags = readFlags("A chat in the terminal: chat.ts [flags]", {
  ...modelFlags,
  "system": text("What the model is told before the chat"),
  "history": text("File of the lines that were typed", "out/chat_history.txt"),
});
/** The settings that /set changes, by generate's names, and what they may be. */
const ranges: Record<string, { least: number; most: number; whole?: boolean }> = {
  temperature: { least: 0, most: 5 },
  topP: { least: 0.01, most: 1 },
  topK: { least: 0, most: 1e6, whole: true },
  maxNewTokens: { least: 1, most: 1e6, whole: true },
  repetitionPenalty: { least: 0.1, most: 10 },
  seed: { least: 0, most: 2 ** 31, whole: true },
};
const settings: GenerateOptions & Record<string, unknown> = { maxNewTokens: 256 };

// %% The model
const { folder, base, tuned } = await loadChosen(flags);
if (!base.tokenizer) {
  throw new UserError(`${folder} has no tokenizer.json: a chat needs the tokenizer's files.`);
}
const tokenizer = base.tokenizer;
let model: Model = tuned ?? base;
const lines = openLines(flags.history);
const grey = (words: string) => Deno.noColor || !lines.interactive ? words : `\x1b[90m${words}\x1b[39m`;
const say = (words: string) => console.log(lines.interactive ? grey(words) : words);
const write = (piece: string) => Deno.stdout.writeSync(new TextEncoder().encode(piece));

say(
  `${flags.model ?? "The embedded small Llama"}${flags.adapter ? ` with ${flags.adapter}` : ""}. ` +
    "Answers can be wrong; nothing here is financial advice. /help lists the commands.",
);
if (!flags.model && !flags.adapter) {
  say(
    "It has 1.9 million parameters and has never seen a question. Tune it (deno run -P=train " +
      "examples/tinyllama_finance_alpaca.ts), then: --adapter out/tinyllama_finance_alpaca/adapter",
  );
}

// %% The conversation: what the model sees of it
const messages: Message[] = [];
let system = flags.system;

/** By the chat template; where there is none, or the model was tuned on questions alone (the embedded one), without history. */
const way = flags.prompt !== "auto"
  ? flags.prompt
  : !flags.model
  ? "financeQA"
  : tokenizer.chatTemplate
  ? "chat"
  : base.config.modelType === "t5"
  ? "plain"
  : "financeQA";
if (way !== "chat") say("Each question is asked by itself: the model does not see those before it.");

function promptOf(turns: readonly Message[]): string {
  const instruction = turns.at(-1)!.content;
  if (way === "plain") return instruction;
  if (way !== "chat") return prompts[way].question({ instruction });
  const told = system === undefined ? [] : [{ role: "system", content: system }];
  return tokenizer.applyChatTemplate([...told, ...turns], { addGenerationPrompt: true });
}

/** The latest turns that leave room for an answer. */
function fitting(): Message[] {
  const { maxPositionEmbeddings } = base.config;
  const room = maxPositionEmbeddings - Math.min(settings.maxNewTokens!, maxPositionEmbeddings / 2);
  let turns = way === "chat" ? [...messages] : messages.slice(-1);
  while (turns.length > 1 && tokenizer.encode(promptOf(turns)).length > room) turns = turns.slice(2);
  const left = (messages.length - turns.length) / 2;
  if (left > 0 && way === "chat") {
    say(`(${left} earlier ${left === 1 ? "question does" : "questions do"} not fit any more)`);
  }
  return turns;
}

/** Answers the last question; Ctrl-C ends the answer, once more the program. */
async function answer(): Promise<void> {
  const stop = new AbortController(), begun = performance.now();
  const listener = () => {
    stop.abort();
    Deno.removeSignalListener("SIGINT", listener); // the second one finds the system's own way
  };
  Deno.addSignalListener("SIGINT", listener);
  let said = "";
  try {
    const seed = settings.seed ?? Math.floor(Math.random() * 2 ** 31);
    const options = { ...settings, seed, signal: stop.signal };
    for await (const piece of streamText(model, promptOf(fitting()), options)) {
      write(printable(said === "" ? piece.trimStart() : piece));
      said += piece;
      await new Promise((resolve) => setTimeout(resolve)); // signals come in between two turns of the event loop
    }
  } finally {
    if (!stop.signal.aborted) Deno.removeSignalListener("SIGINT", listener);
  }
  write("\n");
  const tokens = tokenizer.encode(said, { addSpecialTokens: false }).length;
  const rate = (tokens / (performance.now() - begun) * 1000).toFixed(1);
  if (lines.interactive) say(`${stop.signal.aborted ? "stopped, " : ""}${tokens} tokens, ${rate} a second`);
  if (said === "") messages.pop(); // stopped before it began: as if it had not been asked
  else messages.push({ role: "assistant", content: said.trim() });
}

/** A model's text must not move the cursor, ring or rename the window. */
const printable = (piece: string) =>
  // deno-lint-ignore no-control-regex
  piece.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "\ufffd");

// %% Commands
type Command = { help: string; run(rest: string): void | Promise<void> };
const commands: Record<string, Command> = {
  help: {
    help: "this list",
    run: () =>
      say(Object.entries(commands).map(([name, { help }]) => `/${name.padEnd(12)} ${help}`).join("\n")),
  },
  reset: {
    help: "begins a new chat",
    run() {
      messages.length = 0;
      say("A new chat.");
    },
  },
  system: {
    help: "<text>: what the model is told before the chat; alone: nothing",
    run(rest) {
      if (way !== "chat") throw new UserError(`The prompt here is ${way}, which has no place for it.`);
      system = rest === "" ? undefined : rest;
      say(system === undefined ? "Nothing is told before the chat." : `Told before the chat: ${system}`);
    },
  },
  set: {
    help: `<name> <value>: ${
      Object.keys(ranges).join(", ")
    }; "default" takes a choice back; alone: shows them`,
    run: set,
  },
  model: { help: "base or tuned: who answers from now on", run: chooseModel },
  regenerate: {
    help: "answers the last question again",
    async run() {
      if (messages.at(-1)?.role === "assistant") messages.pop();
      if (messages.length === 0) throw new UserError("Nothing has been asked yet.");
      await answer();
    },
  },
  save: { help: "<file>: the chat as a row of JSONL, which trains as it is", run: save },
  quit: { help: "leaves; so do Ctrl-D and a second Ctrl-C", run() {} },
};

function set(rest: string): void {
  const [name, value, ...more] = rest.split(/[\s=]+/).filter((word) => word !== "");
  if (name === undefined) {
    const shown = Object.keys(ranges).map((name) => `${name} ${settings[name] ?? "default"}`);
    return say(shown.join("\n"));
  }
  if (!Object.hasOwn(ranges, name)) {
    throw new UserError(`${name} is no setting; did you mean ${nearest(name, Object.keys(ranges))}?`);
  }
  const { least, most, whole } = ranges[name], number = Number(value);
  if (value === "default") {
    if (name === "maxNewTokens") settings.maxNewTokens = 256;
    else delete settings[name];
    return say(`${name} is the default again.`);
  }
  if (
    value === undefined || more.length > 0 || !(number >= least && number <= most) ||
    whole && !Number.isInteger(number)
  ) {
    throw new UserError(`${name} is a ${whole ? "whole " : ""}number from ${least} to ${most}.`);
  }
  settings[name] = number;
  say(`${name} is ${number}.`);
}

function chooseModel(rest: string): void {
  if (rest !== "base" && rest !== "tuned") throw new UserError("/model base, or /model tuned.");
  if (!tuned) throw new UserError("There is no tuned model here: start with --adapter <folder>.");
  model = rest === "tuned" ? tuned : useAdapter(tuned, undefined);
  say(`The ${rest} model answers.`);
}

function save(rest: string): void {
  if (rest === "") throw new UserError("/save <file>");
  if (messages.length === 0) throw new UserError("Nothing has been said yet.");
  const told = system === undefined ? [] : [{ role: "system", content: system }];
  try {
    Deno.writeTextFileSync(rest, JSON.stringify({ messages: [...told, ...messages] }) + "\n", {
      createNew: true,
    });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new UserError(`${rest} is there already: choose another name.`);
    }
    throw new UserError(`${rest} cannot be written: ${(error as Error).message}`);
  }
  say(`Saved in ${rest}.`);
}

// %% The chat
/** What one line asks for; whether the chat goes on. */
async function follow(line: string): Promise<boolean> {
  const [, name, rest] = /^\/(\S*)\s*(.*)$/s.exec(line) ?? [];
  if (name === "quit" || name === "exit") return false;
  if (name !== undefined) {
    if (Object.hasOwn(commands, name)) await commands[name].run(rest.trim());
    else {throw new UserError(
        `/${name} is no command; did you mean /${nearest(name, Object.keys(commands))}?`,
      );}
    return true;
  }
  messages.push({ role: "user", content: line });
  try {
    await answer();
  } catch (error) {
    messages.pop(); // a question that cannot be answered is not part of the chat
    throw error;
  }
  return true;
}

/** The next question; a line that ends in a backslash goes on in the next. */
async function nextQuestion(): Promise<string | undefined> {
  let question = "";
  for (;;) {
    const line = await lines.read(lines.interactive ? question === "" ? "> " : "  " : "");
    if (line === undefined) return undefined;
    if (!line.endsWith("\\")) return question + line;
    question += `${line.slice(0, -1)}\n`;
  }
}

for (let goes = true; goes;) {
  const question = await nextQuestion();
  if (question === undefined) break;
  if (question.trim() === "") continue;
  try {
    goes = await follow(question.trim());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(error.message);
  }
}
if (lines.interactive) console.log();
Deno.exit(0); // onnxruntime's threads and the terminal would keep the program
