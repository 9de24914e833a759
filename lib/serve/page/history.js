// @ts-check
// Chats, kept in this browser: each under a key of its own, so that two tabs do not overwrite each other's.

/**
 * @typedef {{ model: string, text: string, state: "running" | "done" | "stopped" | "failed", finish?: string,
 *   error?: string, tokens?: number, seconds?: number, settings?: Record<string, unknown> }} Answer
 * @typedef {{ question: string, answers: Answer[] }} Turn
 * @typedef {{ id: string, title: string, changed: number, turns: Turn[] }} Chat
 */

const CHAT = "fintune.chat.";

/** Chats of this visit; where the browser keeps nothing, the only ones. @type {Map<string, Chat>} */
const chats = new Map();

/** What is kept under a name; undefined where there is nothing, or nothing that can be read. @param {string} name */
export function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a value; false where the browser does not. @param {string} name @param {unknown} value */
export function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Reads what is kept; `changed` names a chat that another tab has written. @param {string} [changed] */
export function readChats(changed) {
  const read = (/** @type {string} */ name) => {
    const chat = kept(name);
    if (isChat(chat) && name === CHAT + chat.id) chats.set(chat.id, settled(chat));
    else chats.delete(name.slice(CHAT.length));
  };
  if (changed !== undefined) return changed.startsWith(CHAT) && read(changed);
  try {
    Object.keys(localStorage).filter((name) => name.startsWith(CHAT)).forEach(read);
  } catch {
    // No storage: the chats of this visit are all there is.
  }
}

/** An answer that ran when the page was closed has been stopped by that. @param {Chat} chat */
function settled(chat) {
  for (const answer of chat.turns.flatMap(({ answers }) => answers)) {
    if (answer.state === "running") answer.state = "stopped";
  }
  return chat;
}

/** @param {any} value @returns {value is Chat} */
function isChat(value) {
  const isAnswer = (/** @type {any} */ answer) =>
    typeof answer?.model === "string" && typeof answer.text === "string";
  const isTurn = (/** @type {any} */ turn) =>
    typeof turn?.question === "string" && Array.isArray(turn.answers) && turn.answers.every(isAnswer);
  return typeof value?.id === "string" && typeof value.title === "string" && Number.isFinite(value.changed) &&
    Array.isArray(value.turns) && value.turns.every(isTurn);
}

/** @returns {Chat} */
export function newChat() {
  const id = Date.now().toString(36) + Math.random().toString(36).slice(2, 8);
  return { id, title: "New chat", changed: Date.now(), turns: [] };
}

/** Keeps a chat, if anything was said; false where the browser does not. @param {Chat} chat */
export function saveChat(chat, changed = Date.now()) {
  if (chat.turns.length === 0) {
    removeChat(chat.id);
    return true;
  }
  chat.title = chat.turns[0].question.trim().replace(/\s+/g, " ").slice(0, 80);
  chat.changed = changed;
  chats.set(chat.id, chat);
  return keep(CHAT + chat.id, chat);
}

/** Takes a chat away. @param {string} id */
export function removeChat(id) {
  chats.delete(id);
  try {
    localStorage.removeItem(CHAT + id);
  } catch {
    // It was never kept.
  }
}

/** @param {string} id */
export const chatOf = (id) => chats.get(id);

/** All chats, the latest first. */
export const allChats = () => [...chats.values()].sort((a, b) => b.changed - a.changed);

/** Chats as a file: whoever reads it finds OpenAI's messages, for each model that answered. @param {Chat[]} list */
export function exported(list) {
  return JSON.stringify(
    {
      format: "fintune chats",
      version: 1,
      chats: list.map((chat) => ({
        ...chat,
        changed: new Date(chat.changed).toISOString(),
        messages: Object.fromEntries(modelsOf(chat).map((model) => [model, messagesFor(chat.turns, model)])),
      })),
    },
    null,
    2,
  ) + "\n";
}

/** @param {Chat} chat */
const modelsOf = (
  chat,
) => [...new Set(chat.turns.flatMap(({ answers }) => answers.map(({ model }) => model)))];

/**
 * The conversation as one model has seen it: of answers side by side its own, else the first. Questions without an answer
 * are left out, except the last.
 * @param {Turn[]} turns @param {string} model
 */
export function messagesFor(turns, model) {
  return turns.flatMap(({ question, answers }, i) => {
    const asked = { role: "user", content: question };
    const said = answers.find((answer) => answer.model === model && answer.text !== "") ??
      answers.find(({ text }) => text !== "");
    if (said) return [asked, { role: "assistant", content: said.text }];
    return i === turns.length - 1 ? [asked] : [];
  });
}
