// The settings: how answers are drawn, the system prompt, the key, light or dark. Kept in this browser; the key only until
// the tab is closed.
import { byId } from "./elements.js";
import { keep, kept } from "./history.js";

const NUMBERS = {
  temperature: { least: 0, most: 2 },
  top_p: { least: 0.01, most: 1 },
  max_tokens: { least: 1, most: 100_000, whole: true },
  seed: { least: 0, most: 2 ** 31 - 1, whole: true, empty: true },
};

const SLIDERS = ["temperature", "top_p"];

const begin = { temperature: 0.7, top_p: 0.9, max_tokens: 256, seed: undefined, system: "" };
let chosen = {};

const fits = (name, value) => {
  const { least, most, whole, empty } = NUMBERS[name];
  if (value === undefined) return empty === true;
  return Number.isFinite(value) && value >= least && value <= most && (!whole || Number.isInteger(value));
};

/** What is in force: the user's choices over the server's defaults. */
export const settings = () => ({ ...begin, ...chosen });

/** What a request says of them. Without a seed each question draws one, the same for both sides. */
export function requestSettings() {
  const { temperature, top_p, max_tokens, seed = Math.floor(Math.random() * 2 ** 31) } = settings();
  return { temperature, top_p, max_tokens, seed };
}

export function apiKey() {
  try {
    return sessionStorage.getItem("fintune.key") ?? "";
  } catch {
    return byId("key").value;
  }
}

function keepKey() {
  try {
    sessionStorage.setItem("fintune.key", byId("key").value.trim());
  } catch {
    // The field itself still has it.
  }
}

/** Connects the form with what was chosen earlier; `onKey` hears of another key. */
export function openSettings(onKey) {
  const earlier = kept("fintune.settings") ?? {};
  for (const name of Object.keys(NUMBERS)) {
    if (earlier[name] !== undefined && fits(name, earlier[name])) chosen[name] = earlier[name];
    byId(name).addEventListener("input", () => readNumber(name));
  }
  if (typeof earlier.system === "string") chosen.system = earlier.system;
  for (const name of SLIDERS) byId(`${name}-slide`).addEventListener("input", () => slide(name));
  byId("system").addEventListener("input", () => choose("system", byId("system").value));
  byId("key").value = apiKey();
  byId("key").addEventListener("change", () => {
    keepKey();
    onKey();
  });
  byId("reset").addEventListener("click", () => {
    chosen = {};
    keep("fintune.settings", chosen);
    fill();
  });
  fill();
}

/** The server's defaults take the place of the page's. */
export function useDefaults(given = {}) {
  for (const name of Object.keys(NUMBERS)) {
    if (fits(name, given[name])) begin[name] = given[name];
  }
  if (typeof given.system === "string") begin.system = given.system;
  fill();
}

function choose(name, value) {
  chosen[name] = value;
  if (value === undefined || value === begin[name]) delete chosen[name];
  keep("fintune.settings", chosen);
}

function slide(name) {
  byId(name).value = byId(`${name}-slide`).value;
  readNumber(name);
}

function readNumber(name) {
  const field = byId(name), { least, most, whole, empty } = NUMBERS[name];
  const value = field.value.trim() === "" ? undefined : Number(field.value);
  const good = !field.validity.badInput && fits(name, value);
  const kind = whole ? "A whole number" : "A number";
  sayWrong(name, good ? "" : `${kind} from ${least} to ${most}${empty ? ", or nothing" : ""}.`);
  if (!good) return;
  choose(name, value);
  if (SLIDERS.includes(name)) byId(`${name}-slide`).value = String(value);
}

function sayWrong(name, text) {
  byId(`${name}-wrong`).textContent = text;
  byId(name).setAttribute("aria-invalid", String(text !== ""));
}

function fill() {
  const values = settings();
  for (const name of Object.keys(NUMBERS)) {
    byId(name).value = values[name] ?? "";
    sayWrong(name, "");
  }
  for (const name of SLIDERS) byId(`${name}-slide`).value = String(values[name]);
  byId("system").value = values.system;
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/** "light", "dark", or undefined for what the system says. */
export const look = () => {
  const chosen = kept("fintune.look");
  return chosen === "light" || chosen === "dark" ? chosen : undefined;
};

export const isDark = () => (look() ?? (dark.matches ? "dark" : "light")) === "dark";

/** Shows the page in the look that is chosen; `shown` hears of every change. */
export function openLook(shown) {
  const show = () => {
    const chosen = look();
    if (chosen) document.documentElement.dataset.look = chosen;
    else delete document.documentElement.dataset.look;
    for (const field of document.getElementsByName("look")) {
      field.checked = field.value === (chosen ?? "system");
    }
    shown();
  };
  dark.addEventListener("change", show);
  for (const field of document.getElementsByName("look")) {
    field.addEventListener("change", () => {
      keep("fintune.look", field.value);
      show();
    });
  }
  show();
  return show;
}
