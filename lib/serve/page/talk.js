// The chat that is shown: questions, answers as they come, alone or side by side.
import { announce, byId, copyText, element, picture, pictureButton, setPicture, toast } from "./elements.js";
import { chatOf, messagesFor, newChat, saveChat } from "./history.js";
import { showAnswer, splitThought } from "./rendering.js";
import { askAnswer } from "./server.js";
import { apiKey, requestSettings, settings } from "./settings.js";

let chat = newChat();
/** The chats that are being answered, with what stops them. */
const running = new Map();
/** Where an answer is shown, while it is. */
const views = new WeakMap();
/** Told from outside: which models answer, who hears of changes and failures. */
const around = { models: () => [], describe: () => undefined, changed() {}, failed() {} };

export const shownChat = () => chat;
export const isRunning = () => running.has(chat.id);

export function openTalk(given) {
  Object.assign(around, given);
  showChat(chat);
}

/** Shows a chat from its beginning to its end. */
export function showChat(next) {
  chat = next;
  const { scrollTop } = byId("scroll");
  byId("turns").replaceChildren(...chat.turns.map(turnNode));
  byId("welcome").hidden = chat.turns.length > 0;
  if (scrollTop > 0 || chat.turns.length > 0) toEnd();
  refreshTurns();
  around.changed();
}

/** Asks the models that are chosen. */
export function ask(question) {
  const turn = { question, answers: [] };
  chat.turns.push(turn);
  byId("turns").append(turnNode(turn));
  byId("welcome").hidden = true;
  return answerAll(turn, around.models(), []);
}

/** Stops the answers of a chat; what came stays. */
export function stopChat(which = chat) {
  running.get(which.id)?.abort();
}

/** Answers a turn by these models; `others` are its answers that stay. */
async function answerAll(turn, models, others) {
  const mine = chat, controller = new AbortController(), request = requestSettings(), { system } = settings();
  const before = mine.turns.slice(0, mine.turns.indexOf(turn));
  const asked = models.map((model) => ({
    answer: { model, text: "", state: "running", settings: { ...request, system } },
    messages: [
      ...system.trim() === "" ? [] : [{ role: "system", content: system }],
      ...messagesFor([...before, { ...turn, answers: [] }], model),
    ],
  }));
  const answers = asked.map(({ answer }) => answer);
  turn.answers = turn.answers.length === 0
    ? answers
    : turn.answers.map((old) =>
      others.includes(old) ? old : answers.find(({ model }) => model === old.model)
    );
  running.set(mine.id, controller);
  save(mine);
  replaceTurn(turn);
  refreshTurns();
  around.changed();
  toEnd();
  announce("Answering");
  const saving = setInterval(() => chatOf(mine.id) && save(mine), 2000);
  await Promise.all(
    asked.map(({ answer, messages }) =>
      run(answer, { model: answer.model, messages, ...request }, controller.signal)
    ),
  );
  clearInterval(saving);
  running.delete(mine.id);
  if (chatOf(mine.id)) save(mine); // it may have been deleted meanwhile
  if (mine === chat) refreshTurns();
  around.changed();
  announce(answers.map(({ model, text, error }) => `${model}: ${error ?? text}`.slice(0, 2000)).join(". "));
}

async function run(answer, request, signal) {
  const begun = performance.now();
  for await (const { text, finish, tokens, failure } of askAnswer(request, apiKey(), signal)) {
    if (text) answer.text += text;
    if (finish) answer.finish = finish;
    if (tokens !== undefined) answer.tokens = tokens;
    if (failure) {
      answer.state = "failed";
      answer.error = failure.message;
      around.failed(failure);
    }
    answer.seconds = (performance.now() - begun) / 1000;
    refreshSoon(answer);
  }
  if (answer.state === "running") answer.state = signal.aborted ? "stopped" : "done";
  refresh(answer);
}

function save(which) {
  if (saveChat(which) || save.told) return;
  save.told = true;
  toast(
    "This browser keeps no more chats: its storage is full or closed to the page. Delete or export some.",
  );
}

// --- what is seen ---

function turnNode(turn) {
  const node = element("article", { class: "turn" });
  node.turn = turn;
  fillTurn(node);
  return node;
}

function replaceTurn(turn) {
  const node = [...byId("turns").children].find((child) => child.turn === turn);
  if (node) fillTurn(node);
}

function fillTurn(node) {
  const { turn } = node;
  const edit = pictureButton("edit", "Edit the question", () => takeBack(turn), { class: "icon edit" });
  const question = element("div", { class: "question" }, edit, element("h2", { dir: "auto" }, turn.question));
  const columns = element("div", { class: turn.answers.length > 1 ? "answers beside" : "answers" });
  columns.append(...turn.answers.map((answer) => answerNode(turn, answer)));
  node.replaceChildren(question, columns);
  turn.answers.forEach(refresh);
}

function answerNode(turn, answer) {
  const { kind, about } = around.describe(answer.model) ?? {};
  const who = element(
    "h3",
    { class: "who", title: about },
    element("span", {}, answer.model),
    ...kind ? [element("span", { class: `kind ${kind}` }, kind)] : [],
  );
  const text = element("div", { class: "text" });
  const copy = pictureButton("copy", "Copy", () => copyText(splitThought(answer.text).answer, copy));
  const again = pictureButton("again", "Answer again", () => answerAgain(turn, answer), {
    class: "icon again",
  });
  const note = element("span", { class: "note" });
  const failure = element("p", { class: "failure" });
  const foot = element("div", { class: "foot" }, copy, again, note);
  const node = element("section", { class: "answer", "aria-label": `Answer of ${answer.model}` });
  node.append(who, text, failure, foot);
  views.set(answer, { node, text, failure, foot, note, copy });
  return node;
}

function refreshSoon(answer) {
  const view = views.get(answer);
  if (!view || view.waiting) return;
  view.waiting = requestAnimationFrame(() => {
    view.waiting = undefined;
    refresh(answer);
  });
}

function refresh(answer) {
  const view = views.get(answer);
  if (!view) return;
  const follow = view.node.isConnected && atEnd(), isOn = answer.state === "running";
  showAnswer(view.text, answer.text);
  view.node.classList.toggle("running", isOn);
  view.node.setAttribute("aria-busy", String(isOn));
  view.failure.hidden = !answer.error;
  view.failure.textContent = answer.error ?? "";
  view.foot.hidden = isOn;
  view.copy.hidden = answer.text === "";
  view.foot.classList.toggle("bare", answer.text === "");
  view.note.textContent = noteOf(answer);
  if (follow) toEnd();
  else showEndButton();
}

function noteOf({ state, finish, tokens, seconds, text, settings }) {
  const parts = [];
  if (state === "stopped") parts.push("stopped");
  if (finish === "length") parts.push(`cut off at ${settings?.max_tokens ?? tokens} tokens`);
  if (state === "done" && text === "") parts.push("an empty answer");
  if (tokens > 0 && finish !== "length") parts.push(tokens === 1 ? "1 token" : `${tokens} tokens`);
  if (tokens > 0 && seconds > 0) {
    parts.push(`${(tokens / seconds).toFixed(tokens / seconds < 10 ? 1 : 0)} tokens/s`);
  }
  return parts.join(" · ");
}

/** Only the last turn can be asked again or changed, and not while it is answered. */
function refreshTurns() {
  const nodes = [...byId("turns").children], on = isRunning();
  nodes.forEach((node, i) => node.classList.toggle("last", i === nodes.length - 1 && !on));
  const button = byId("send");
  if (button.matches("button")) {
    setPicture(button, on ? "stop" : "send", on ? "Stop" : "Send");
    button.classList.toggle("stopping", on);
  }
}

function answerAgain(turn, answer) {
  if (isRunning()) return;
  answerAll(turn, [answer.model], turn.answers.filter((other) => other !== answer));
}

function takeBack(turn) {
  if (isRunning()) return;
  const field = byId("question");
  chat.turns.pop();
  field.value = turn.question;
  field.dispatchEvent(new Event("input"));
  showChat(chat);
  save(chat);
  field.focus();
}

// --- scrolling: the end stays in sight until somebody scrolls away from it ---

const atEnd = () => {
  const { scrollTop, scrollHeight, clientHeight } = byId("scroll");
  return scrollHeight - scrollTop - clientHeight < 60;
};

export function toEnd() {
  byId("scroll").scrollTop = byId("scroll").scrollHeight;
  showEndButton();
}

export function showEndButton() {
  byId("to-end").hidden = atEnd();
}

/** The pictures in the buttons around the field. */
export function sendButton() {
  byId("send").replaceWith(
    element("button", { id: "send", type: "submit", class: "send", "aria-label": "Send" }, picture("send")),
  );
  byId("to-end").replaceWith(
    pictureButton("down", "To the end", toEnd, { id: "to-end", class: "icon to-end", hidden: true }),
  );
  byId("scroll").addEventListener("scroll", showEndButton, { passive: true });
}
