// How a published model is used: with this library, with PEFT, with Transformers.
import { alpaca, financeQA, type Prompt } from "../data/prompt.ts";
import type { CardFacts } from "./card.ts";

const QUESTION = "What is a bond?";

/** Code for each library, with questions in the form that was trained. */
export function usePart(facts: CardFacts): string {
  const { kind, encoderDecoder, base } = facts;
  const asked = askedAs(facts);
  if (kind === "gguf") {
    const commands = [`llama-cli -hf ${facts.repo}`, `ollama run hf.co/${facts.repo}`];
    return `With llama.cpp or Ollama:\n\n${fenced("sh", commands)}`;
  }
  const parts = [`With fintune (jsr:@fintune/fintune), in Deno:\n\n${ours(facts, asked)}`];
  if (kind === "adapter" && base) parts.push(`With PEFT, in Python:\n\n${peft(facts, asked)}`);
  if (kind === "model") parts.push(`With Transformers, in Python:\n\n${transformers(facts, asked)}`);
  if (kind === "adapter") {
    parts.push(
      `Transformers alone loads it too, where PEFT is installed: ${
        encoderDecoder ? "AutoModelForSeq2SeqLM" : "AutoModelForCausalLM"
      }.from_pretrained("${facts.repo}").`,
    );
  }
  return parts.join("\n\n");
}

interface Asked {
  /** A conversation goes through the tokenizer's template. */
  isChat: boolean;
  /** The question as a text. */
  text: string;
}

/** The prompt that was trained with, by its name in the run's data. */
function askedAs({ run, encoderDecoder }: CardFacts): Asked {
  const name = String(run?.data?.prompt ?? run?.settings?.prompt ?? "");
  const prompts: Record<string, Prompt> = { alpaca, financeQA };
  const prompt = prompts[name];
  if (prompt) return { isChat: false, text: prompt.question({ instruction: QUESTION }) };
  return { isChat: !encoderDecoder && name.startsWith("chat"), text: QUESTION };
}

const fenced = (language: string, lines: readonly string[]) =>
  `\`\`\`${language}\n${lines.join("\n")}\n\`\`\``;

function ours({ kind, repo, base }: CardFacts, { isChat, text }: Asked): string {
  const loading = kind === "adapter"
    ? [
      `const base = await loadModel("${base ?? "the base's name or folder"}");`,
      `const model = await loadAdapter(base, "${repo}");`,
    ]
    : [`const model = await loadModel("${repo}");`];
  const names = [
    ...(isChat ? ["chat"] : []),
    "generate",
    ...(kind === "adapter" ? ["loadAdapter"] : []),
    "loadModel",
  ];
  const question = isChat
    ? [
      `const prompt = chat(model.tokenizer!);`,
      `const question = prompt.question({ instruction: ${JSON.stringify(QUESTION)} });`,
    ]
    : [`const question = ${JSON.stringify(text)};`];
  return fenced("ts", [
    `import { ${names.join(", ")} } from "@fintune/fintune";`,
    "",
    ...loading,
    ...question,
    "console.log((await generate(model, [question], { maxNewTokens: 200 }))[0]);",
  ]);
}

function pythonQuestion({ isChat, text }: Asked): string[] {
  if (!isChat) return [`inputs = tokenizer(${JSON.stringify(text)}, return_tensors="pt")`];
  return [
    `messages = [{"role": "user", "content": ${JSON.stringify(QUESTION)}}]`,
    'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)',
  ];
}

function answer({ encoderDecoder }: CardFacts): string[] {
  const cut = encoderDecoder ? "output[0]" : 'output[0][inputs["input_ids"].shape[1]:]';
  return [
    "output = model.generate(**inputs, max_new_tokens=200)",
    `print(tokenizer.decode(${cut}, skip_special_tokens=True))`,
  ];
}

function peft(facts: CardFacts, asked: Asked): string {
  const loader = facts.encoderDecoder ? "AutoPeftModelForSeq2SeqLM" : "AutoPeftModelForCausalLM";
  return fenced("python", [
    `from peft import ${loader}`,
    "from transformers import AutoTokenizer",
    "",
    `model = ${loader}.from_pretrained("${facts.repo}")`,
    `tokenizer = AutoTokenizer.from_pretrained("${facts.base}")`,
    ...pythonQuestion(asked),
    ...answer(facts),
  ]);
}

function transformers(facts: CardFacts, asked: Asked): string {
  const loader = facts.encoderDecoder ? "AutoModelForSeq2SeqLM" : "AutoModelForCausalLM";
  return fenced("python", [
    `from transformers import ${loader}, AutoTokenizer`,
    "",
    `model = ${loader}.from_pretrained("${facts.repo}")`,
    `tokenizer = AutoTokenizer.from_pretrained("${facts.repo}")`,
    ...pythonQuestion(asked),
    ...answer(facts),
  ]);
}
