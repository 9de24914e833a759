// An Ollama Modelfile: where the model lies, its chat template in Ollama's language (Go's), where answers stop, how tokens are drawn.
import { checkModel, checkName } from "../arguments.ts";
import { UserError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { findTurns, type Turns } from "./turns.ts";

/** Options of {@linkcode modelfile}. */
export interface ModelfileOptions {
  /** An adapter's GGUF file (exportLoraGGUF) over the model's. */
  adapter?: string;
  /** What the model is told before every talk; default: what its chat template says by itself. */
  system?: string;
}

/**
 * The text of an Ollama Modelfile for a GGUF file: `ollama create my-model -f Modelfile`. The template is made from the
 * behaviour of the model's chat template, for all that put texts around what is said (ChatML, Llama 2 and 3, Mistral, Gemma, Zephyr,
 * plain headings) and checked against it on longer talks; tools are left out. Answers stop at every token that ends a text.
 *
 * @param path the GGUF file, as Ollama finds it from the Modelfile's folder
 * @throws UserError without a tokenizer or chat template, or where the template does more than put texts around contents
 *
 * @example
 * ```ts
 * import { loadModel, modelfile } from "@fintune/fintune";
 * const model = await loadModel("examples/finsight/model");
 * console.log(modelfile(model, "finsight.gguf").split("\n")[0]); // FROM ./finsight.gguf
 * ```
 */
export function modelfile(model: Model, path: string, options: ModelfileOptions = {}): string {
  checkModel("modelfile", model);
  checkName("modelfile", "the GGUF file", path);
  const { tokenizer, name } = model;
  if (!tokenizer?.chatTemplate) {
    throw new UserError(`${name} has no chat template: a Modelfile would not know how to ask it.`);
  }
  const turns = findTurns(tokenizer);
  if (!turns) {
    throw new UserError(
      `the chat template of ${name} does more than put texts around what is said: write the Modelfile's TEMPLATE by hand.`,
    );
  }
  const system = options.system ?? turns.defaultSystem;
  return [
    `FROM ${place(path)}`,
    ...options.adapter === undefined ? [] : [`ADAPTER ${place(options.adapter)}`],
    `TEMPLATE ${quoted(goTemplate(turns))}`,
    ...system === undefined ? [] : [`SYSTEM ${quoted(system)}`],
    ...stops(tokenizer, turns).map((stop) => `PARAMETER stop ${JSON.stringify(stop)}`),
    ...drawing(model),
    "",
  ].join("\n");
}

/** A file beside the Modelfile needs the dot: without it Ollama looks for a model of that name. */
const place = (path: string): string => /^(\.{0,2}[\\/]|[A-Za-z]:)/.test(path) ? path : `./${path}`;

function quoted(text: string): string {
  if (text.includes('"""')) throw new UserError('a Modelfile cannot hold a text with """ in it.');
  return `"""${text}"""`;
}

/** Go's template for the turns. The last message may be the beginning of an answer, which is then gone on with. */
function goTemplate({ user, beforeLater, assistant, open, system }: Turns): string {
  const text = (value: string) => value.replaceAll("{{", '{{ "{{" }}');
  const content = "{{ .Content }}", isLast = "eq (len (slice $.Messages $i)) 1";
  const holdsSystem = system?.place === "last" ? isLast : "le $i 1"; // the first question, behind a system message or not
  const inner = system && system.place !== "own"
    ? `{{ if and $.System (${holdsSystem}) }}${text(system.before)}{{ $.System }}${
      text(system.after)
    }{{ end }}${content}`
    : content;
  const own = system?.place === "own"
    ? `{{ if eq .Role "system" }}${text(system.before)}${content}${text(system.after)}{{ else if`
    : "{{ if";
  const later = beforeLater === "" ? "" : `{{ if gt $i 1 }}${text(beforeLater)}{{ end }}`;
  return "{{ range $i, $_ := .Messages }}" +
    `${own} eq .Role "user" }}${later}${text(user.before)}${inner}${text(user.after)}` +
    `{{ else if eq .Role "assistant" }}${text(assistant.before)}${content}` +
    `{{ if not (${isLast}) }}${text(assistant.after)}{{ end }}{{ end }}` +
    `{{ if and (ne .Role "assistant") (${isLast}) }}${text(open)}{{ end }}{{ end }}`;
}

/** The texts of all ends, and what opens the next question where that is no special token: some models go on with it. */
function stops(tokenizer: Tokenizer, { user }: Turns): string[] {
  const ends = tokenizer.eosIds.map((id) => tokenizer.decode([id], { skipSpecialTokens: false }));
  const opener = user.before.trim();
  const isPlain = opener !== "" &&
    tokenizer.decode(tokenizer.encode(opener, { addSpecialTokens: false })) !== "" &&
    !/[<[|]/.test(opener);
  return [...new Set([...ends, ...isPlain ? [opener] : []])].filter((stop) => stop !== "");
}

function drawing({ generation }: Model): string[] {
  const { doSample, temperature, topK, topP, repetitionPenalty } = generation;
  const named = {
    temperature: doSample === false ? 0 : temperature,
    top_k: topK,
    top_p: topP,
    repeat_penalty: repetitionPenalty,
  };
  return Object.entries(named).flatMap(([name, value]) =>
    value === undefined ? [] : [`PARAMETER ${name} ${value}`]
  );
}
