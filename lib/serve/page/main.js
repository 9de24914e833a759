// The page begins: configuration, models, keys.
import { announce, byId, element, picture, pictureButton, saveFile, setPicture } from "./elements.js";
import { chatOf, exported, keep, kept, newChat, readChats } from "./history.js";
import { askConfig } from "./server.js";
import { apiKey, isDark, openLook, openSettings, useDefaults } from "./settings.js";
import { isSideOpen, listChats, openSidebar, showSide } from "./sidebar.js";
import {
  ask,
  isRunning,
  openTalk,
  sendButton,
  showChat,
  showEndButton,
  shownChat,
  stopChat,
} from "./talk.js";

const NOTICE = "Answers can be wrong. Nothing here is financial advice.";
/** What answers, as the server tells. */
let models = [], connected = false, retrying;

const talk = {
  begin: () => showChat(newChat()),
  show: showChat,
  stop: stopChat,
  removed: (gone) => showChat(gone.includes(shownChat()) ? newChat() : shownChat()),
};

// --- models ---

const modelOf = (id) => models.find((model) => model.id === id);

/** A server may say only that there is one. */
const adapterName = ({ id, adapter }) => typeof adapter === "string" ? adapter : id;

/** What is said of a model beside its name; with one model alone there is nothing to tell apart. */
function describe(id) {
  const model = modelOf(id);
  if (!model || models.length === 1) return undefined;
  if (!model.adapter) return { kind: "base", about: model.base ?? model.id };
  return { kind: "tuned", about: `adapter ${adapterName(model)} on ${model.base ?? "its base"}` };
}

const isBeside = () => models.length > 1 && byId("beside").getAttribute("aria-pressed") === "true";
const chosenModels = () => isBeside() ? [byId("model").value, byId("other").value] : [byId("model").value];

/** The other side of a model: its base for a tuned one, for a base what was tuned on it. */
function otherSide(id) {
  const model = modelOf(id), others = models.filter((other) => other.id !== id);
  const fits = (other) =>
    model?.adapter ? !other.adapter && [undefined, other.id, other.base].includes(model.base) : other.adapter;
  return (others.find(fits) ?? others.find((other) => !other.adapter) ?? others[0])?.id;
}

function fillModels() {
  const earlier = kept("fintune.models") ?? {};
  const options = () =>
    models.map((model) => {
      const { kind } = describe(model.id) ?? {};
      return element("option", { value: model.id }, kind ? `${model.id} (${kind})` : model.id);
    });
  byId("model").replaceChildren(...options());
  byId("other").replaceChildren(...options());
  const tuned = models.find(({ adapter }) => adapter) ?? models[0];
  byId("model").value = modelOf(earlier.model)?.id ?? tuned?.id ?? "";
  byId("other").value = modelOf(earlier.other)?.id ?? otherSide(byId("model").value) ?? "";
  byId("beside").hidden = models.length < 2;
  byId("model").disabled = models.length < 2;
  setBeside(earlier.beside === true);
}

function setBeside(on) {
  byId("beside").setAttribute("aria-pressed", String(on));
  byId("other-pick").hidden = !isBeside();
  chosen();
}

/** Two columns of the same model would tell nothing. */
function chosen(changed) {
  const [model, other] = [byId("model"), byId("other")];
  if (isBeside() && model.value === other.value) {
    const field = changed === other ? model : other;
    field.value = otherSide(changed === other ? other.value : model.value);
  }
  keep("fintune.models", { model: model.value, other: other.value, beside: isBeside() });
  showAbout();
}

/** Which model and adapter answer, where a chat begins. */
function showAbout() {
  byId("about").replaceChildren(
    ...chosenModels().filter(Boolean).map((id) => {
      const { base, adapter } = modelOf(id) ?? {};
      const parts = adapter
        ? [
          "adapter ",
          element("b", {}, adapterName(modelOf(id))),
          " on ",
          element("b", {}, base ?? "its base"),
        ]
        : [
          adapter === undefined && models.length > 1
            ? "as it is, without an adapter"
            : base && base !== id
            ? base
            : "",
        ];
      return element("div", {}, element("dt", {}, id), element("dd", {}, ...parts));
    }),
  );
}

// --- the server ---

async function connect() {
  clearTimeout(retrying);
  const { config, failure } = await askConfig(apiKey());
  const list = Array.isArray(config?.models)
    ? config.models.filter((model) => typeof model?.id === "string")
    : [];
  if (failure || list.length === 0) {
    connected = false;
    return failed(failure ?? { kind: "refused", message: "The server names no model." });
  }
  byId("banner").hidden = true;
  models = list;
  if (connected) return;
  connected = true;
  begin(config);
}

function begin(config) {
  useDefaults(config.defaults);
  const title = typeof config.title === "string" ? config.title : "fintune";
  byId("title").textContent = document.title = title;
  byId("notice").textContent = typeof config.notice === "string" ? `${NOTICE} ${config.notice}` : NOTICE;
  const examples = Array.isArray(config.examples)
    ? config.examples.filter((one) => typeof one === "string")
    : [];
  byId("examples").replaceChildren(
    ...examples.slice(0, 6).map((text) =>
      element("button", { type: "button", dir: "auto", onclick: () => submit(text) }, text)
    ),
  );
  fillModels();
  showChat(shownChat());
  if (config.apiKey === true && apiKey() === "") {
    failed({ kind: "key", message: "The server wants an API key." });
  }
}

/** Whether an answer that broke off means that the server is gone is for the server to say. */
function answerFailed(failure) {
  if (failure.kind === "gone") connect();
  else failed(failure);
}

/** A line over the chat until the server is there again, or has its key. */
function failed({ kind, message }) {
  if (kind === "busy" || kind === "refused" && connected) return;
  if (kind === "gone") retrying = setTimeout(connect, 3000);
  if (!byId("banner").hidden && byId("banner").kind === kind) return; // said already
  byId("banner").kind = kind;
  const act = kind === "key" ? ["Enter the key", showKey] : ["Try again", connect];
  byId("banner").replaceChildren(
    element("span", {}, message, kind === "gone" ? " Your chats stay in this browser." : ""),
    element("button", { type: "button", onclick: act[1] }, act[0]),
  );
  byId("banner").hidden = false;
}

function showKey() {
  byId("settings").showModal();
  byId("key").focus();
}

// --- asking ---

function submit(text) {
  if (text.trim() === "" || isRunning()) return;
  if (!connected) return announce("The server does not answer.");
  byId("question").value = "";
  grow();
  byId("question").focus();
  ask(text.trim());
}

/** The field is as high as its text, up to a third of the window. */
function grow() {
  const field = byId("question");
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, innerHeight / 3)}px`;
}

function openKeys() {
  byId("question").addEventListener("input", grow);
  byId("question").addEventListener("keydown", (event) => {
    // Enter also ends the choice of a Chinese or Japanese word: that sends nothing.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit(byId("question").value);
  });
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    if (isRunning()) stopChat();
    else submit(byId("question").value);
  });
  document.addEventListener("keydown", (event) => {
    if (byId("settings").open || event.isComposing) return;
    if (event.key === "Escape") {
      if (isSideOpen()) showSide(false);
      else stopChat();
    }
    const typing = event.target.matches?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    byId("question").focus();
  });
}

// --- the page ---

function openTools() {
  const light = pictureButton("moon", "Dark", () => {
    keep("fintune.look", isDark() ? "light" : "dark");
    show();
  });
  const save = pictureButton(
    "save",
    "Export this chat",
    () => saveFile("fintune-chat.json", exported([shownChat()])),
    {
      id: "export",
    },
  );
  byId("tools").append(
    save,
    light,
    pictureButton("settings", "Settings", () => {
      byId("settings").showModal();
    }),
  );
  byId("settings-close").replaceWith(pictureButton("close", "Close", () => byId("settings").close()));
  byId("settings").addEventListener("click", (event) => {
    if (event.target === byId("settings")) byId("settings").close(); // beside it
  });
  const show = openLook(() =>
    isDark() ? setPicture(light, "sun", "Switch to light") : setPicture(light, "moon", "Switch to dark")
  );
}

/** The shown chat stands in the address, so that it is there after a reload. */
function remember() {
  const { id, turns } = shownChat();
  globalThis.history.replaceState(undefined, "", turns.length > 0 ? `#${id}` : "#");
  byId("export").disabled = turns.length === 0;
  listChats(shownChat(), talk);
}

/** Another tab has written or deleted a chat. */
function changedElsewhere(key) {
  const { id } = shownChat(), isShown = key.endsWith(`.${id}`);
  if (isShown && isRunning()) return;
  readChats(key);
  if (isShown) showChat(chatOf(id) ?? newChat());
  else remember();
}

function begins() {
  readChats();
  openSettings(connect);
  openTools();
  sendButton();
  openSidebar(talk);
  openKeys();
  byId("beside").prepend(picture("beside"));
  byId("beside").addEventListener("click", () => setBeside(!isBeside()));
  byId("model").addEventListener("change", () => chosen(byId("model")));
  byId("other").addEventListener("change", () => chosen(byId("other")));
  byId("notice").textContent = NOTICE;
  const earlier = chatOf(location.hash.slice(1));
  openTalk({ models: chosenModels, describe, changed: remember, failed: answerFailed });
  if (earlier) showChat(earlier);
  addEventListener("storage", ({ key }) => key?.startsWith("fintune.chat.") && changedElsewhere(key));
  addEventListener("resize", showEndButton);
  byId("question").focus();
  connect();
}

begins();
