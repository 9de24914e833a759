// What a chat template puts around what is said, found by its behaviour: it renders conversations whose contents are marks.
import type { Message } from "../text/chat_template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** The texts around a role's content. */
export interface Around {
  readonly before: string;
  readonly after: string;
}

/** A chat template as texts around contents. */
export interface Turns {
  readonly user: Around;
  /** What stands before every question but the first (Llama 2 begins each anew with BOS); usually nothing. */
  readonly beforeLater: string;
  readonly assistant: Around;
  /** Opens the answer that is to be generated. */
  readonly open: string;
  /** Around a system message; undefined where the template has none. */
  readonly system?: Around & {
    /** By itself before all, or inside the first or the last question, before what is asked. */
    readonly place: "own" | "first" | "last";
  };
  /** What the template itself says as the system where nobody does. */
  readonly defaultSystem?: string;
}

type Render = (messages: readonly Message[], opens: boolean) => string | undefined;

const [SYSTEM, USER, ANSWER, MORE] = ["system", "user", "answer", "more"].map((name) =>
  `\uFDD0${name}\uFDD1`
);
const say = (role: string, content: string): Message => ({ role, content });
const conversation = [say("user", USER), say("assistant", ANSWER), say("user", MORE)];

/**
 * The texts around each role; undefined where the tokenizer has no template, or one that does more than put texts around
 * contents. The BOS token that encoding adds by itself is left out.
 */
export function findTurns(tokenizer: Tokenizer): Turns | undefined {
  const render: Render = (messages, addGenerationPrompt) => {
    try {
      return withoutBos(tokenizer.applyChatTemplate([...messages], { addGenerationPrompt }), tokenizer);
    } catch {
      return undefined; // there is none, or it refuses a role
    }
  };
  const [head, userAfter] = cut(render(conversation.slice(0, 1), false), USER);
  const [, opening] = cut(render(conversation.slice(0, 1), true), USER);
  const [, , answerAfter] = cut(render(conversation.slice(0, 2), false), USER, ANSWER);
  const [, between, next] = cut(render(conversation, true), USER, ANSWER, MORE);
  const open = behind(opening, userAfter), answerBefore = behind(between, userAfter);
  const later = behind(next, answerAfter);
  if (open === undefined || answerBefore === undefined || later === undefined) return undefined;
  const bos = bosText(tokenizer), beforeLater = !head.endsWith(later) && later.startsWith(bos) ? bos : "";
  const userBefore = later.slice(beforeLater.length);
  if (!head.endsWith(userBefore)) return undefined;
  const first = head.slice(0, head.length - userBefore.length), found = findSystem(render, userBefore);
  const defaultSystem = first === "" ? undefined : inside(first, found);
  if (first !== "" && defaultSystem === undefined) return undefined;
  const plain = {
    user: { before: userBefore, after: userAfter },
    beforeLater,
    assistant: { before: answerBefore, after: answerAfter },
    open,
    ...(defaultSystem === undefined ? {} : { defaultSystem }),
  };
  const places = found?.place === "first" ? ["first", "last"] as const : [found?.place];
  return places.map((place) => ({ ...plain, ...found && place && { system: { ...found, place } } }))
    .find((turns) => agrees(turns, render));
}

/** The texts before, between and behind the marks; fewer where one is missing. */
function cut(text: string | undefined, ...marks: string[]): string[] {
  const pieces: string[] = [];
  let rest = text;
  for (const mark of marks) {
    const at = rest?.indexOf(mark) ?? -1;
    if (at < 0) return [];
    pieces.push(rest!.slice(0, at));
    rest = rest!.slice(at + mark.length);
  }
  return [...pieces, rest!];
}

/** What follows a beginning; undefined where the text does not begin so. */
const behind = (text: string | undefined, beginning: string | undefined): string | undefined =>
  beginning !== undefined && text?.startsWith(beginning) ? text.slice(beginning.length) : undefined;

function findSystem(render: Render, userBefore: string): Turns["system"] {
  const [before, between] = cut(render([say("system", SYSTEM), say("user", USER)], true), SYSTEM, USER);
  if (between === undefined) return undefined;
  if (between.endsWith(userBefore) && !(before.startsWith(userBefore) && userBefore !== "")) {
    return { before, after: between.slice(0, between.length - userBefore.length), place: "own" };
  }
  const inner = behind(before, userBefore);
  return inner === undefined ? undefined : { before: inner, after: between, place: "first" };
}

/** What a text says between the system's surroundings. */
function inside(text: string, system: Turns["system"]): string | undefined {
  if (system?.place !== "own" || !text.startsWith(system.before) || !text.endsWith(system.after)) {
    return undefined;
  }
  return text.slice(system.before.length, text.length - system.after.length);
}

/** Whether the texts around contents give what the template gives, for talks that they were not taken from. */
function agrees(turns: Turns, render: Render): boolean {
  const long = [
    ...conversation,
    say("assistant", "yes"),
    say("user", "a\n b"),
    say("assistant", "1"),
    say("user", "?"),
  ];
  const talks = turns.system ? [long, [say("system", "Be brief."), ...long]] : [long];
  return talks.every((talk) => renderTurns(turns, talk) === render(talk, true));
}

/** A conversation as the turns say it, with the answer opened: what the Ollama template gives. */
export function renderTurns(turns: Turns, messages: readonly Message[]): string {
  const { system, defaultSystem } = turns;
  const own = messages[0]?.role === "system" ? messages[0].content : defaultSystem;
  const wrapped = (around: Around, content: string) => `${around.before}${content}${around.after}`;
  const said = messages.filter(({ role }) => role !== "system");
  const texts = said.map(({ role, content }, i) => {
    const holdsSystem = own !== undefined && i === (system?.place === "last" ? said.length - 1 : 0);
    const inner = holdsSystem && system && system.place !== "own" ? wrapped(system, own) + content : content;
    const before = role === "user" && i > 0 ? turns.beforeLater : "";
    return before + wrapped(role === "assistant" ? turns.assistant : turns.user, inner);
  });
  const front = own !== undefined && system?.place === "own" ? wrapped(system, own) : "";
  return `${front}${texts.join("")}${turns.open}`;
}

function withoutBos(text: string, tokenizer: Tokenizer): string {
  const bos = bosText(tokenizer);
  return text.startsWith(bos) ? text.slice(bos.length) : text;
}

/** What encoding puts in front by itself. */
function bosText({ addsBos, bosId, decode }: Tokenizer): string {
  return addsBos && bosId !== undefined ? decode([bosId], { skipSpecialTokens: false }) : "";
}
