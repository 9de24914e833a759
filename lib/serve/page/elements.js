// Nodes of the page, made by hand: text goes in as text and nowhere as markup.

/** An element with attributes (on... are listeners; undefined and false are left away) and children. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined));
  return node;
}

// Each picture is one path on a field of 20 by 20, drawn with a line of 1.5.
const PICTURES = {
  menu: "M3 5.5h14M3 10h14M3 14.5h14",
  plus: "M10 4v12M4 10h12",
  send: "M10 16V4.5M5 9.5l5-5 5 5",
  stop: "M5.5 5.5h9v9h-9z",
  settings: "M3 6h8M15 6h2M3 14h2M9 14h8M13 3.8v4.4M7 11.8v4.4",
  copy: "M7.5 7.5h8v8h-8zM4.5 12.5v-8h8",
  done: "M4.5 10.5l3.5 3.5 7.5-8",
  again: "M15.5 10a5.5 5.5 0 1 1-1.8-4.1M15.8 3v3.4h-3.4",
  edit: "M4 16l.8-3.2L13 4.6l2.4 2.4-8.2 8.2zM11.3 6.3l2.4 2.4",
  remove: "M4 6h12M8 6V4h4v2M5.5 6l.7 10h7.6l.7-10M8.5 9v4M11.5 9v4",
  down: "M10 4v11.5M5 10.5l5 5 5-5",
  save: "M10 3.5v9M6 9l4 4 4-4M4 16.5h12",
  close: "M5 5l10 10M15 5L5 15",
  moon: "M16 12A7 7 0 0 1 8 4a6.5 6.5 0 1 0 8 8z",
  sun:
    "M10 6.8a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 0 1 0-6.4zM10 2v1.6M10 16.4V18M2 10h1.6M16.4 10H18M4.3 4.3l1.2 1.2M14.5 14.5l1.2 1.2M4.3 15.7l1.2-1.2M14.5 5.5l1.2-1.2",
  beside: "M3.5 4.5h13v11h-13zM10 4.5v11",
};

/** A small picture; it says nothing to a reader of the screen, the button around it has the words. */
export function picture(name) {
  const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PICTURES[name]);
  svg.append(path);
  return svg;
}

/** A button with a picture alone; the label is its name and its tip. */
export function pictureButton(name, label, onclick, attributes = {}) {
  return element(
    "button",
    { type: "button", class: "icon", "aria-label": label, title: label, onclick, ...attributes },
    picture(name),
  );
}

/** Changes a button's picture and name. */
export function setPicture(button, name, label) {
  button.replaceChildren(picture(name));
  button.setAttribute("aria-label", label);
  button.title = label;
}

export const byId = (id) => document.getElementById(id);

/** Says something to readers of the screen, once. */
export function announce(text) {
  byId("status").textContent = text;
}

let hiding;

/** A line that goes by itself, with something to do about it. */
export function toast(text, action, act) {
  const line = byId("toast");
  const hide = () => line.hidden = true;
  clearTimeout(hiding);
  const button = action && element("button", {
    type: "button",
    onclick: () => {
      hide();
      act();
    },
  }, action);
  line.replaceChildren(element("span", {}, text), ...button ? [button] : []);
  line.hidden = false;
  hiding = setTimeout(hide, 7000);
}

/** Puts text on the clipboard, also where the page is not served over https. */
export async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    button.focus();
    if (!copied) return toast("The browser does not let the page copy.");
  }
  setPicture(button, "done", "Copied");
  announce("Copied");
  setTimeout(() => setPicture(button, "copy", "Copy"), 1500);
}

/** Gives the browser a file to save. */
export function saveFile(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
